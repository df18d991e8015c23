// SPDX-License-Identifier: Apache-2.0
// Pausing and resuming: each asks what becomes of the deliveries that wait.
import { Radio, Stack, Text } from "@mantine/core";
import { useState } from "react";

import { usePauseWebhook, useResumeWebhook, type Webhook } from "../../api/webhooks";
import { ConfirmDialog } from "../../components/ConfirmDialog";
import { Waiting } from "./Waiting";

interface Props {
  projectId: string;
  webhook: Webhook;
  onClose: () => void;
}

type Mode = "hold" | "skip";

export function PauseDialog({ projectId, webhook, onClose }: Props) {
  const pause = usePauseWebhook(projectId);
  const [mode, setMode] = useState<Mode>("hold");
  return (
    <ConfirmDialog
      title="Pause Webhook"
      confirm="PAUSE"
      isPending={pause.isPending}
      error={pause.error}
      onConfirm={() => pause.mutate({ id: webhook.id, body: { mode } }, { onSuccess: onClose })}
      onClose={onClose}
    >
      <Stack gap="sm">
        <Text>
          Stop sending for <b className="foreign">{webhook.name}</b>?
        </Text>
        <Radio.Group
          label="Events that come meanwhile"
          value={mode}
          onChange={(value) => setMode(value as Mode)}
        >
          <Stack gap="xs" mt="xs">
            <Radio
              value="hold"
              label="Hold"
              description="Deliveries are made and wait until the webhook is resumed."
            />
            <Radio
              value="skip"
              label="Skip"
              description="No delivery is made for them, as when deactivated."
            />
          </Stack>
        </Radio.Group>
        <Waiting projectId={projectId} id={webhook.id} fate={mode === "hold" ? "kept" : "cancelled"} />
      </Stack>
    </ConfirmDialog>
  );
}

type Backlog = "keep" | "drop";

/** For a webhook that a person paused, and for one that the server stopped sending to. */
export function ResumeDialog({ projectId, webhook, onClose }: Props) {
  const resume = useResumeWebhook(projectId);
  const [backlog, setBacklog] = useState<Backlog>("keep");
  return (
    <ConfirmDialog
      title="Resume Webhook"
      confirm="RESUME"
      isPending={resume.isPending}
      error={resume.error}
      onConfirm={() => resume.mutate({ id: webhook.id, body: { backlog } }, { onSuccess: onClose })}
      onClose={onClose}
    >
      <Stack gap="sm">
        <Text>
          Resume <b className="foreign">{webhook.name}</b>? Events from now on are delivered.
        </Text>
        <Radio.Group
          label="Deliveries that wait"
          value={backlog}
          onChange={(value) => setBacklog(value as Backlog)}
        >
          <Stack gap="xs" mt="xs">
            <Radio value="keep" label="Keep" description="They are sent now, the oldest first." />
            <Radio value="drop" label="Drop" description="They are cancelled and stay in the history." />
          </Stack>
        </Radio.Group>
        <Waiting projectId={projectId} id={webhook.id} fate={backlog === "keep" ? "sent" : "cancelled"} />
      </Stack>
    </ConfirmDialog>
  );
}
