// SPDX-License-Identifier: Apache-2.0
import classes from "./StateMark.module.css";

export type StateKind = "good" | "bad" | "busy" | "idle";

/** A state in a word, with a coloured dot beside it: colour alone says nothing to everybody. */
export function StateMark({ kind, children }: { kind: StateKind; children: string }) {
  return (
    <span className={classes.mark}>
      <span className={classes.dot} data-kind={kind} aria-hidden="true" />
      {children}
    </span>
  );
}
