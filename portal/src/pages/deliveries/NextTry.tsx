// SPDX-License-Identifier: Apache-2.0
import { Text } from "@mantine/core";

import { Time } from "../../components/Time";
import { absoluteTime } from "../../components/time";

const SOON_MS = 10_000; // nearer than this, a time that is shown is over before it is read

/** When a delivery that waits is tried next. One whose time has come waits for its turn with the receiver. */
export function NextTry({ at }: { at: string | undefined }) {
  const waitMs = at === undefined ? 0 : Date.parse(at) - Date.now();
  if (at === undefined || !(waitMs > 0))
    return (
      <Text span size="sm" c="dimmed">
        when its turn comes
      </Text>
    );
  if (waitMs > SOON_MS) return <Time at={at} />;
  return (
    <time dateTime={at} title={absoluteTime(new Date(at))}>
      in a few seconds
    </time>
  );
}
