// SPDX-License-Identifier: Apache-2.0
import classes from "./Command.module.css";
import { Copy } from "./Copy";

/** Lines to paste into a terminal, with a button that copies them. `label` says what they do. */
export function Command({ label, text }: { label: string; text: string }) {
  return (
    <div className={classes.box}>
      {/* Long lines scroll, and so must be reachable by keyboard. */}
      {/* eslint-disable-next-line jsx-a11y/no-noninteractive-tabindex */}
      <pre className={classes.text} tabIndex={0} aria-label={label} role="region">
        {text}
      </pre>
      <Copy label={label} text={text} className={classes.copy} />
    </div>
  );
}
