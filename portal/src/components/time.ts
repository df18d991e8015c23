// SPDX-License-Identifier: Apache-2.0
// Times and durations as words.

const relative = new Intl.RelativeTimeFormat("en", { numeric: "auto" });
const absolute = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeStyle: "medium" });

const STEPS: [Intl.RelativeTimeFormatUnit, number][] = [
  ["year", 31_557_600],
  ["month", 2_629_800],
  ["day", 86_400],
  ["hour", 3_600],
  ["minute", 60],
];

/** "3 minutes ago", "in 2 hours". */
export function relativeTime(at: Date, now: Date): string {
  const seconds = (at.getTime() - now.getTime()) / 1000;
  for (const [unit, length] of STEPS) {
    if (Math.abs(seconds) >= length) return relative.format(Math.round(seconds / length), unit);
  }
  return Math.abs(seconds) < 5 ? "now" : relative.format(Math.round(seconds), "second");
}

/** "21 Aug 2026, 10:13:20", in the reader's time zone. */
export function absoluteTime(at: Date): string {
  return absolute.format(at);
}

/** Is this a time at all? Harbor's API writes 0001-01-01 for never. */
export function isTime(text: string | undefined): text is string {
  return text !== undefined && !text.startsWith("0001-") && !Number.isNaN(Date.parse(text));
}

/** "850 µs", "12.4 ms", "3.05 s", "2 min". */
export function durationWords(us: number): string {
  if (us < 1_000) return `${us} µs`;
  if (us < 1_000_000) return `${(us / 1_000).toPrecision(3)} ms`;
  if (us < 120_000_000) return `${(us / 1_000_000).toPrecision(3)} s`;
  return `${Math.round(us / 60_000_000)} min`;
}
