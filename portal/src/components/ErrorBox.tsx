// SPDX-License-Identifier: Apache-2.0
import { Alert, Button, Group, Text } from "@mantine/core";

import { ApiError } from "../api/client";

/** What failed, in the server's words, with a way to try again. */
export function ErrorBox({
  error,
  title,
  onRetry,
}: {
  error: Error;
  title?: string;
  onRetry?: (() => unknown) | undefined;
}) {
  return (
    <Alert
      color="var(--mantine-color-error)"
      variant="outline"
      title={title ?? "This did not work"}
      role="alert"
      mb="md"
    >
      <Text size="sm" className="foreign">
        {error.message}
      </Text>
      {error instanceof ApiError && error.status >= 500 && error.requestId && (
        <Text size="xs" c="dimmed" mt={4}>
          The server&apos;s log names this request {error.requestId}.
        </Text>
      )}
      {onRetry && (
        <Group mt="xs">
          <Button size="xs" variant="default" onClick={() => void onRetry()}>
            Try again
          </Button>
        </Group>
      )}
    </Alert>
  );
}
