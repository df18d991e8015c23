// SPDX-License-Identifier: Apache-2.0
// Trying a webhook before it is saved: the sample of an event, shown and sent.
import { Button, Fieldset, Group, NativeSelect, Stack, Text } from "@mantine/core";
import { useState } from "react";

import { useTestUnsaved, type EventType } from "../../api/webhooks";
import { EVENT_TYPES } from "./eventTypes";
import { placeError, targetsOf, type PlacedErrors, type WebhookValues } from "./formValues";
import { SamplePanel } from "./SamplePanel";
import { TestOutcome } from "./TestOutcome";

interface Props {
  projectId: string;
  policyId: number | undefined;
  values: WebhookValues;
  /** Are the targets fit to be sent? Shows what is wrong at its field. */
  validate: () => boolean;
  onRefused: (errors: PlacedErrors) => void;
}

function targetName(values: WebhookValues, index: number): string {
  return `Target ${index + 1}: ${values.targets[index]?.address ?? ""}`;
}

export function TestPanel({ projectId, policyId, values, validate, onRefused }: Props) {
  const [chosen, setChosen] = useState("");
  const [picked, setPicked] = useState(0);
  const test = useTestUnsaved(projectId);
  const eventType = chosen || (values.eventTypes[0] ?? "PUSH_ARTIFACT");
  const index = picked < values.targets.length ? picked : 0;
  const target = values.targets[index];
  if (!target) return null;

  const send = () => {
    if (!validate()) return;
    test.mutate(
      {
        event_type: eventType as EventType,
        targets: targetsOf(values),
        target: index,
        policy_id: policyId ?? null,
      },
      { onError: (error) => onRefused(placeError(error, values)) },
    );
  };
  const unplaced = test.error && placeError(test.error, values).rest;

  return (
    <Fieldset legend="Test">
      <Stack gap="sm">
        <Text size="sm" c="dimmed">
          Sends this sample to the endpoint now, as a delivery would be sent, and shows the answer. Nothing is
          saved.
        </Text>
        <Group align="flex-end">
          <NativeSelect
            label="Event"
            data={EVENT_TYPES.map((one) => ({ value: one.type, label: one.words }))}
            value={eventType}
            onChange={(event) => setChosen(event.currentTarget.value)}
          />
          {values.targets.length > 1 && (
            <NativeSelect
              label="Target"
              maw={320}
              data={values.targets.map((_, at) => ({ value: String(at), label: targetName(values, at) }))}
              value={index}
              onChange={(event) => setPicked(Number(event.currentTarget.value))}
            />
          )}
          <Button variant="default" loading={test.isPending} onClick={send}>
            SEND TEST
          </Button>
        </Group>
        {!test.isPending && <TestOutcome result={test.data} error={unplaced} />}
        <SamplePanel
          projectId={projectId}
          sample={{
            eventType,
            notifyType: target.type,
            payloadFormat: target.payloadFormat,
            extras: target.extras,
          }}
        />
      </Stack>
    </Fieldset>
  );
}
