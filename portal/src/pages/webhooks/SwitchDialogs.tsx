// SPDX-License-Identifier: Apache-2.0
// Deactivating, enabling, deleting: each says what it does to the deliveries that wait.
import { Skeleton, Stack, Text } from "@mantine/core";
import { useState } from "react";

import {
  useDeleteWebhook,
  useUpdateWebhook,
  useWebhook,
  useWebhookSummary,
  type Webhook,
} from "../../api/webhooks";
import { ConfirmDialog } from "../../components/ConfirmDialog";
import { ErrorBox } from "../../components/ErrorBox";
import { switchedRequest } from "./formValues";

interface Props {
  projectId: string;
  webhook: Webhook;
  onClose: () => void;
}

function Waiting({ projectId, id }: { projectId: string; id: number }) {
  const summary = useWebhookSummary(projectId, id);
  if (summary.error) return <ErrorBox error={summary.error} title="What waits cannot be counted" />;
  if (!summary.data) return <Skeleton height={16} />;
  const { waiting, waiting_is_more: isMore } = summary.data;
  if (waiting === 0) return <Text size="sm">Nothing waits.</Text>;
  const count = `${isMore ? "More than " : ""}${waiting.toLocaleString()}`;
  return (
    <Text size="sm" fw={600}>
      {waiting === 1
        ? "1 delivery that waits will be cancelled."
        : `${count} deliveries that wait will be cancelled.`}
    </Text>
  );
}

export function DeleteDialog({ projectId, webhook, onClose, onDeleted }: Props & { onDeleted: () => void }) {
  const remove = useDeleteWebhook(projectId);
  return (
    <ConfirmDialog
      title="Delete Webhook"
      confirm="DELETE"
      isDangerous
      isPending={remove.isPending}
      error={remove.error}
      onConfirm={() => remove.mutate(webhook.id, { onSuccess: onDeleted })}
      onClose={onClose}
    >
      <Stack gap="xs">
        <Text>
          Delete <b className="foreign">{webhook.name}</b>?
        </Text>
        <Waiting projectId={projectId} id={webhook.id} />
      </Stack>
    </ConfirmDialog>
  );
}

type Switch = "DEACTIVATE" | "ENABLE" | "RESUME";

const SWITCHES: Record<Switch, { title: string; verb: string; words?: string }> = {
  DEACTIVATE: { title: "Deactivate Webhook", verb: "Deactivate" },
  ENABLE: { title: "Enable Webhook", verb: "Enable", words: "Events from now on are delivered." },
  RESUME: { title: "Resume Webhook", verb: "Resume", words: "Sending goes on, with what waits first." },
};

/** Deactivates an enabled webhook, enables another, or resumes one whose receiver was gone. */
export function SwitchDialog({ projectId, webhook, onClose, resumes }: Props & { resumes: boolean }) {
  const update = useUpdateWebhook(projectId);
  // What is sent back is what is there now, not what the list showed a while ago.
  const current = useWebhook(projectId, webhook.id, true);
  // What was asked when the dialog opened, whatever becomes of the webhook meanwhile.
  const [kind] = useState<Switch>(resumes ? "RESUME" : webhook.enabled ? "DEACTIVATE" : "ENABLE");
  const { title, verb, words } = SWITCHES[kind];
  const save = () => {
    if (!current.data) return;
    const body = switchedRequest(current.data.value, kind !== "DEACTIVATE");
    update.mutate(
      { id: webhook.id, body, etag: current.data.etag },
      { onSuccess: onClose, onError: () => void current.refetch() }, // somebody else's change is kept the next time
    );
  };
  return (
    <ConfirmDialog
      title={title}
      confirm={kind}
      isPending={update.isPending || current.isPending}
      error={update.error ?? current.error}
      onConfirm={save}
      onClose={onClose}
    >
      <Stack gap="xs">
        <Text>
          {verb} <b className="foreign">{webhook.name}</b>?
        </Text>
        {words ? <Text size="sm">{words}</Text> : <Waiting projectId={projectId} id={webhook.id} />}
      </Stack>
    </ConfirmDialog>
  );
}
