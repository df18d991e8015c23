// SPDX-License-Identifier: Apache-2.0
import { useEffect, useState } from "react";

/** What has the focus; instead of a menu's item, which goes away with its menu, the button of the menu. */
function opener(): HTMLElement | null {
  const active = document.activeElement;
  if (!(active instanceof HTMLElement)) return null;
  const button = active.closest('[role="menu"]')?.getAttribute("aria-labelledby");
  return button ? document.getElementById(button) : active;
}

/** For a dialog that is mounted while it is open: when it ends, the focus goes back to where it was before. */
export function useFocusBack() {
  const [back] = useState(opener);
  useEffect(() => () => back?.focus({ preventScroll: true }), [back]);
}
