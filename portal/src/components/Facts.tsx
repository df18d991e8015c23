// SPDX-License-Identifier: Apache-2.0
import type { ReactNode } from "react";

import classes from "./Facts.module.css";

/** Names and values below each other: `dt` and `dd` within. */
export function Facts({ children }: { children: ReactNode }) {
  return <dl className={classes.facts}>{children}</dl>;
}
