// SPDX-License-Identifier: Apache-2.0
// Deactivating, enabling, deleting: each says what it does to the deliveries that wait.
import { Stack, Text } from "@mantine/core";
import { useState } from "react";

import { useDeleteWebhook, useUpdateWebhook, useWebhook, type Webhook } from "../../api/webhooks";
import { ConfirmDialog } from "../../components/ConfirmDialog";
import { switchedRequest } from "./formValues";
import { Waiting } from "./Waiting";

interface Props {
  projectId: string;
  webhook: Webhook;
  onClose: () => void;
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
        <Waiting projectId={projectId} id={webhook.id} fate="cancelled" />
      </Stack>
    </ConfirmDialog>
  );
}

type Switch = "DEACTIVATE" | "ENABLE";

const SWITCHES: Record<Switch, { title: string; verb: string; words?: string }> = {
  DEACTIVATE: { title: "Deactivate Webhook", verb: "Deactivate" },
  ENABLE: { title: "Enable Webhook", verb: "Enable", words: "Events from now on are delivered." },
};

/** Deactivates an enabled webhook, enables another. */
export function SwitchDialog({ projectId, webhook, onClose }: Props) {
  const update = useUpdateWebhook(projectId);
  // What is sent back is what is there now, not what the list showed a while ago.
  const current = useWebhook(projectId, webhook.id, true);
  // What was asked when the dialog opened, whatever becomes of the webhook meanwhile.
  const [kind] = useState<Switch>(webhook.enabled ? "DEACTIVATE" : "ENABLE");
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
        {words ? (
          <Text size="sm">{words}</Text>
        ) : (
          <Waiting projectId={projectId} id={webhook.id} fate="cancelled" />
        )}
      </Stack>
    </ConfirmDialog>
  );
}
