// SPDX-License-Identifier: Apache-2.0
import { useEffect } from "react";

/** The window's title: the most particular first. */
export function useTitle(...parts: (string | undefined)[]): void {
  const title = [...parts, "Harbinger"].filter(Boolean).join(" · ");
  useEffect(() => {
    document.title = title;
  }, [title]);
}
