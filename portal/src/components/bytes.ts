// SPDX-License-Identifier: Apache-2.0
const UNITS = ["KiB", "MiB", "GiB", "TiB", "PiB"];

/** "512 B", "3.4 MiB". */
export function bytesWords(bytes: number): string {
  let value = bytes;
  let unit = "B";
  for (const next of UNITS) {
    if (value < 1024) break;
    value /= 1024;
    unit = next;
  }
  return unit === "B" ? `${bytes} B` : `${value.toPrecision(3)} ${unit}`;
}
