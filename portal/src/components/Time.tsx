// SPDX-License-Identifier: Apache-2.0
import { Text } from "@mantine/core";
import { useEffect, useState } from "react";

import classes from "./Time.module.css";
import { absoluteTime, isTime, relativeTime } from "./time";

const REFRESH_MS = 10_000;

/** The time of this moment, again and again, so that "a minute ago" does not stand for an hour. */
function useNow(): Date {
  const [now, setNow] = useState(() => new Date());
  useEffect(() => {
    const timer = setInterval(() => setNow(new Date()), REFRESH_MS);
    return () => clearInterval(timer);
  }, []);
  return now;
}

/** A time relative to now, with the absolute one at hand. `never` is shown when there was none. */
export function Time({ at, never = "never" }: { at: string | undefined; never?: string }) {
  const now = useNow();
  if (!isTime(at))
    return (
      <Text span size="sm" c="dimmed">
        {never}
      </Text>
    );
  const date = new Date(at);
  // A moment ahead of us is a clock that differs from ours, not the future.
  const isClockSkew = date > now && date.getTime() - now.getTime() < REFRESH_MS;
  return (
    <time dateTime={at} title={absoluteTime(date)} className={classes.time}>
      {relativeTime(date, isClockSkew ? date : now)}
    </time>
  );
}
