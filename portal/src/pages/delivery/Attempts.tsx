// SPDX-License-Identifier: Apache-2.0
// Each try of a delivery, the newest first and open.
import { Accordion, Stack, Text, Title } from "@mantine/core";
import { useState } from "react";

import type { Attempt } from "../../api/deliveries";
import { BodyView } from "../../components/BodyView";
import { Headers } from "../../components/Headers";
import { StateMark } from "../../components/StateMark";
import { Time } from "../../components/Time";
import { durationWords } from "../../components/time";
import { Timings } from "../../components/Timings";
import { outcomeWords } from "../deliveries/words";
import classes from "./Attempts.module.css";

const KEPT_ANSWER_BYTES = 4096; // the server keeps no more of an answer's body

function byteLength(text: string): number {
  return new TextEncoder().encode(text).length;
}

function AttemptTitle({ attempt }: { attempt: Attempt }) {
  const total = attempt.timings_us.total;
  return (
    <span className={classes.title}>
      <Text span fw={600} size="sm">
        Attempt {attempt.number}
      </Text>
      <Text span size="sm">
        <StateMark kind={attempt.outcome === "success" ? "good" : "bad"}>
          {outcomeWords(attempt.outcome) + (attempt.status === undefined ? "" : `: ${attempt.status}`)}
        </StateMark>
      </Text>
      <Text span size="sm" c="dimmed">
        <Time at={attempt.started_at} />
        {total !== undefined && `, took ${durationWords(total)}`}
      </Text>
    </span>
  );
}

function AttemptDetails({ attempt }: { attempt: Attempt }) {
  const body = attempt.response_body ?? "";
  return (
    <Stack gap="md">
      {(attempt.error ?? attempt.retry_reason) && (
        <div>
          {attempt.error && (
            <Text size="sm" className="foreign">
              {attempt.error}
            </Text>
          )}
          {attempt.retry_reason && (
            <Text size="sm" c="dimmed" className="foreign">
              {attempt.retry_reason}
            </Text>
          )}
        </div>
      )}
      <div>
        <Timings timings={attempt.timings_us} />
        {attempt.connection_reused && (
          <Text size="xs" c="dimmed" mt={4}>
            A connection that was open already was used.
          </Text>
        )}
      </div>
      <Headers label="Request headers" lines={attempt.request_headers} />
      {attempt.status !== undefined && (
        <>
          <Headers label="Answer headers" lines={attempt.response_headers} />
          {/* Several may be open: each has a name of its own. */}
          <BodyView
            label={`Answer body of attempt ${attempt.number}`}
            text={body}
            truncated={byteLength(body) >= KEPT_ANSWER_BYTES}
          />
        </>
      )}
    </Stack>
  );
}

export function Attempts({ attempts }: { attempts: Attempt[] }) {
  const newestFirst = [...attempts].sort((a, b) => b.number - a.number);
  const [open, setOpen] = useState<string[]>(() =>
    newestFirst.slice(0, 1).map(({ number }) => String(number)),
  );
  return (
    <section aria-label="Attempts">
      <Title order={2} mb="xs">
        Attempts
      </Title>
      {attempts.length === 0 ? (
        <Text size="sm" c="dimmed">
          There was none yet.
        </Text>
      ) : (
        <Accordion
          multiple
          variant="contained"
          order={3}
          value={open}
          onChange={setOpen}
          chevronPosition="left"
        >
          {newestFirst.map((attempt) => (
            <Accordion.Item key={attempt.number} value={String(attempt.number)}>
              <Accordion.Control>
                <AttemptTitle attempt={attempt} />
              </Accordion.Control>
              <Accordion.Panel>
                {open.includes(String(attempt.number)) && <AttemptDetails attempt={attempt} />}
              </Accordion.Panel>
            </Accordion.Item>
          ))}
        </Accordion>
      )}
    </section>
  );
}
