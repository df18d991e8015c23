// SPDX-License-Identifier: Apache-2.0
import { Text, Title } from "@mantine/core";

import { BodyView } from "../../components/BodyView";

/** What is sent: the same bytes with every attempt. */
export function RequestBody({ payload }: { payload: string | undefined }) {
  return (
    <section aria-label="Request">
      <Title order={2} mb="xs">
        Request
      </Title>
      {payload === undefined ? (
        <Text size="sm" c="dimmed">
          The body was trimmed: bodies are removed some days after the delivery has ended. What is known of
          the attempts stays longer.
        </Text>
      ) : (
        <>
          <Text size="sm" c="dimmed" mb="xs">
            The same body goes out with every attempt.
          </Text>
          <BodyView label="Request body" text={payload} />
        </>
      )}
    </section>
  );
}
