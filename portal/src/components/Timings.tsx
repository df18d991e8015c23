// SPDX-License-Identifier: Apache-2.0
// How long each part of a try took, one below the other, each bar beginning where the one before it ended.
import { Text } from "@mantine/core";
import { useId } from "react";

import type { Schemas } from "../api/client";
import { durationWords } from "./time";
import classes from "./Timings.module.css";

interface Stage {
  name: string;
  start: number;
  end: number;
}

// The server counts from the start of the try. What is left after the last stage that was reached is where it failed.
function stagesOf(timings: Schemas["Timings"]): Stage[] {
  const reached: [string, number | undefined][] = [
    ["DNS", timings.dns],
    ["Connect", timings.connect],
    ["TLS", timings.tls],
    ["First byte", timings.first_byte],
  ];
  const stages: Stage[] = [];
  let start = 0;
  for (const [name, end] of reached) {
    if (end === undefined) continue;
    stages.push({ name, start, end: Math.max(start, end) });
    start = Math.max(start, end);
  }
  const total = timings.total ?? 0;
  if (total > start)
    stages.push({ name: timings.first_byte === undefined ? "Until it failed" : "Rest", start, end: total });
  return stages;
}

export function Timings({ timings }: { timings: Schemas["Timings"] }) {
  const id = useId();
  const stages = stagesOf(timings);
  const whole = Math.max(1, stages.at(-1)?.end ?? 0);
  const percent = (us: number) => `${((100 * us) / whole).toFixed(2)}%`;
  return (
    <div>
      <Text id={id} size="sm" fw={600} mb={4}>
        Timings
      </Text>
      <table className={classes.table} aria-labelledby={id}>
        <tbody>
          {stages.map((stage) => (
            <tr key={stage.name}>
              <th scope="row">{stage.name}</th>
              <td className={classes.track} aria-hidden="true">
                <div
                  className={classes.bar}
                  style={{ marginInlineStart: percent(stage.start), width: percent(stage.end - stage.start) }}
                />
              </td>
              <td className={classes.duration}>{durationWords(stage.end - stage.start)}</td>
            </tr>
          ))}
          {timings.total !== undefined && (
            <tr className={classes.total}>
              <th scope="row">Total</th>
              <td aria-hidden="true" />
              <td className={classes.duration}>{durationWords(timings.total)}</td>
            </tr>
          )}
        </tbody>
      </table>
    </div>
  );
}
