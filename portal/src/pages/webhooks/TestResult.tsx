// SPDX-License-Identifier: Apache-2.0
// What a test sent and what came back.
import { Accordion, Stack, Text } from "@mantine/core";

import type { WebhookTestResult } from "../../api/webhooks";
import { BodyView } from "../../components/BodyView";
import { Headers } from "../../components/Headers";
import { StateMark } from "../../components/StateMark";
import { Timings } from "../../components/Timings";

function outcomeWords(result: WebhookTestResult): string {
  if (result.status === undefined) return "No answer";
  return result.outcome === "success" ? `Answered ${result.status}` : `Refused with ${result.status}`;
}

export function TestResult({ result }: { result: WebhookTestResult }) {
  return (
    <Stack gap="sm" role="region" aria-label="Test result">
      <Text component="div" fw={600} role="status">
        <StateMark kind={result.outcome === "success" ? "good" : "bad"}>{outcomeWords(result)}</StateMark>
      </Text>
      {result.error && (
        <Text size="sm" className="foreign">
          {result.error}
        </Text>
      )}
      <Timings timings={result.timings_us} />
      {result.status !== undefined && (
        <>
          <Headers label="Answer headers" lines={result.response_headers} />
          <BodyView
            label="Answer body"
            text={result.response_body ?? ""}
            truncated={result.response_truncated === true}
          />
        </>
      )}
      <Accordion variant="contained">
        <Accordion.Item value="request">
          <Accordion.Control>What was sent</Accordion.Control>
          <Accordion.Panel>
            <Stack gap="sm">
              <Headers label="Request headers" lines={result.request_headers} />
              <BodyView label="Request body" text={result.request_body} />
            </Stack>
          </Accordion.Panel>
        </Accordion.Item>
      </Accordion>
    </Stack>
  );
}
