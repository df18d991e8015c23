// SPDX-License-Identifier: Apache-2.0
import type { StreamState } from "../api/stream";
import classes from "./LiveMark.module.css";
import { StateMark } from "./StateMark";

/** Does what is shown follow what happens? Says something only when that changes. */
export function LiveMark({ state }: { state: StreamState }) {
  return (
    <span role="status" className={classes.mark}>
      {state === "live" && <StateMark kind="good">Live</StateMark>}
      {state === "reconnecting" && <StateMark kind="idle">Reconnecting …</StateMark>}
    </span>
  );
}
