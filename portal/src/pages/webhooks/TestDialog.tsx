// SPDX-License-Identifier: Apache-2.0
import { Button, Group, Modal, NativeSelect, Stack, Text } from "@mantine/core";
import { useState } from "react";

import { useTestSaved, type EventType, type Webhook } from "../../api/webhooks";
import { useFocusBack } from "../../components/useFocusBack";
import { eventTypeWords } from "./eventTypes";
import { TestOutcome } from "./TestOutcome";

/** Tries a saved webhook, enabled or not. Mounted while it is open. */
export function TestDialog({
  projectId,
  webhook,
  onClose,
}: {
  projectId: string;
  webhook: Webhook;
  onClose: () => void;
}) {
  useFocusBack();
  const test = useTestSaved(projectId, webhook.id);
  const [eventType, setEventType] = useState<string>(webhook.event_types[0] ?? "PUSH_ARTIFACT");
  const [target, setTarget] = useState(0);
  return (
    <Modal opened onClose={onClose} title="Test Webhook" size="lg">
      <Stack>
        <Text size="sm">
          Sends the sample of an event to <b className="foreign">{webhook.name}</b> now, as a delivery would
          be sent. It is not among its deliveries and is not tried again.
        </Text>
        <Group align="flex-end">
          <NativeSelect
            label="Event"
            data-autofocus
            data={webhook.event_types.map((type) => ({ value: type, label: eventTypeWords(type) }))}
            value={eventType}
            onChange={(event) => setEventType(event.currentTarget.value)}
          />
          {webhook.targets.length > 1 && (
            <NativeSelect
              label="Target"
              maw={320}
              data={webhook.targets.map((one, at) => ({
                value: String(at),
                label: `Target ${at + 1}: ${one.address}`,
              }))}
              value={target}
              onChange={(event) => setTarget(Number(event.currentTarget.value))}
            />
          )}
          <Button
            loading={test.isPending}
            onClick={() => test.mutate({ event_type: eventType as EventType, target })}
          >
            SEND TEST
          </Button>
        </Group>
        {!test.isPending && <TestOutcome result={test.data} error={test.error} />}
        <Group justify="flex-end">
          <Button variant="default" onClick={onClose}>
            CLOSE
          </Button>
        </Group>
      </Stack>
    </Modal>
  );
}
