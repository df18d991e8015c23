// SPDX-License-Identifier: Apache-2.0
// The webhooks of a project; under the list, what was sent for the one that is selected.
import { Alert, Button, Group, Radio, Stack, Text, Tooltip } from "@mantine/core";
import { useState } from "react";
import { useSearchParams } from "react-router-dom";

import { ApiError } from "../../api/client";
import { useProject, useProjectId } from "../../api/projects";
import { useWebhook, useWebhooks, type Webhook } from "../../api/webhooks";
import { DataTable, type Column } from "../../components/DataTable";
import { EmptyState } from "../../components/EmptyState";
import { SearchBox } from "../../components/SearchBox";
import { StateMark } from "../../components/StateMark";
import { Time } from "../../components/Time";
import { useListQuery } from "../../components/useListQuery";
import { useTitle } from "../../components/useTitle";
import { DeliveriesPanel } from "../deliveries/DeliveriesPanel";
import { ActionMenu, type WebhookAction } from "./ActionMenu";
import { eventTypeWords } from "./eventTypes";
import { DeleteDialog, SwitchDialog } from "./SwitchDialogs";
import { TestDialog } from "./TestDialog";
import { isPaused, suspendedTarget } from "./formValues";
import { PauseDialog, ResumeDialog } from "./PauseDialogs";
import { AddWebhook, EditWebhook } from "./WebhookDialogs";
import classes from "./WebhooksTab.module.css";

const SELECTED = "policy";

/** The selected webhook, kept in the address. */
function useSelected(): [number | undefined, (id: number | undefined) => void] {
  const [params, setParams] = useSearchParams();
  const id = Number(params.get(SELECTED));
  const select = (next: number | undefined) =>
    setParams(
      (old) => {
        const merged = new URLSearchParams(old);
        // What the list of the last one showed says nothing about this one's.
        for (const key of [...merged.keys()]) if (key.startsWith("d-")) merged.delete(key);
        if (next === undefined) merged.delete(SELECTED);
        else merged.set(SELECTED, String(next));
        return merged;
      },
      { replace: true },
    );
  return [Number.isSafeInteger(id) && id > 0 ? id : undefined, select];
}

function Warning({ words }: { words: string | undefined }) {
  if (!words) return null;
  return (
    <>
      <div>
        <StateMark kind="bad">Perhaps a loop</StateMark>
      </div>
      <Text size="xs" c="dimmed" className="foreign">
        {words}
      </Text>
    </>
  );
}

function Status({ webhook }: { webhook: Webhook }) {
  const suspended = suspendedTarget(webhook);
  if (!webhook.enabled) return <StateMark kind="idle">Deactivated</StateMark>;
  if (isPaused(webhook))
    return (
      <>
        <StateMark kind="idle">Paused</StateMark>
        <Text size="xs" c="dimmed">
          Its deliveries wait.
        </Text>
      </>
    );
  if (!suspended)
    return (
      <>
        <StateMark kind="good">Enabled</StateMark>
        <Warning words={webhook.harbinger?.warning} />
      </>
    );
  const since = webhook.harbinger?.suspended?.[0]?.since;
  return (
    <>
      <StateMark kind="bad">Suspended</StateMark>
      {since && (
        <Text size="xs" c="dimmed" component="div">
          since <Time at={since} />
        </Text>
      )}
      <Text size="xs" c="dimmed" className="foreign">
        {suspended.harbinger?.suspended_reason}
      </Text>
    </>
  );
}

function Endpoint({ webhook }: { webhook: Webhook }) {
  const others = webhook.targets.length - 1;
  return (
    <>
      <Text
        size="sm"
        lineClamp={3}
        className={`foreign ${classes.endpoint}`}
        title={webhook.targets[0]?.address}
      >
        {webhook.targets[0]?.address}
      </Text>
      {others > 0 && (
        <Text size="xs" c="dimmed">
          and {others} more
        </Text>
      )}
    </>
  );
}

function EventTypes({ webhook }: { webhook: Webhook }) {
  const words = webhook.event_types.map(eventTypeWords);
  if (words.length < 2) return words.join("");
  return (
    <>
      {words[0]}{" "}
      <Tooltip label={words.join(", ")}>
        <button type="button" className={classes.more} aria-label={`All event types: ${words.join(", ")}`}>
          +{words.length - 1}
        </button>
      </Tooltip>
    </>
  );
}

function columnsOf(selected: number | undefined, select: (id: number) => void): Column<Webhook>[] {
  return [
    {
      title: "Select",
      width: "1%",
      cell: (webhook) => (
        <Radio
          name="webhook"
          aria-label={`Select ${webhook.name ?? webhook.id}`}
          checked={webhook.id === selected}
          onChange={() => select(webhook.id)}
        />
      ),
    },
    {
      title: "Name",
      sort: "name",
      cell: (webhook) => (
        <Text size="sm" lineClamp={3} className={`foreign ${classes.name}`} title={webhook.name}>
          {webhook.name}
        </Text>
      ),
    },
    { title: "Status", cell: (webhook) => <Status webhook={webhook} /> },
    { title: "Notify Type", cell: (webhook) => webhook.targets[0]?.type.toUpperCase() },
    { title: "Payload Format", cell: (webhook) => webhook.targets[0]?.payload_format ?? "" },
    { title: "Endpoint URL", cell: (webhook) => <Endpoint webhook={webhook} /> },
    { title: "Event types", cell: (webhook) => <EventTypes webhook={webhook} /> },
    { title: "Created", sort: "creation_time", cell: (webhook) => <Time at={webhook.creation_time} /> },
    {
      title: "Description",
      cell: (webhook) => (
        <Text size="sm" lineClamp={2} className="foreign" title={webhook.description}>
          {webhook.description}
        </Text>
      ),
    },
  ];
}

type Open = "add" | WebhookAction | undefined;

export function WebhooksTab() {
  const projectId = useProjectId();
  const project = useProject(projectId);
  const [query, setQuery] = useListQuery("-creation_time");
  const webhooks = useWebhooks(projectId, query);
  const [selectedId, select] = useSelected();
  const selected = useWebhook(projectId, selectedId);
  const [open, setOpen] = useState<Open>();
  useTitle("Webhooks", project.data?.name);

  const isGone = selected.error instanceof ApiError && selected.error.status === 404;
  const webhook = isGone ? undefined : selected.data?.value;
  const close = () => setOpen(undefined);
  // A dialog about a webhook that is gone must not open again for the next one.
  if (isGone && open !== undefined && open !== "add" && open !== "edit") close();
  const refresh = () => Promise.all([webhooks.refetch(), selected.refetch()]);
  const dialog = { projectId, onClose: close };

  return (
    <Stack>
      <Group justify="space-between">
        <Group gap="sm">
          <Button onClick={() => setOpen("add")}>NEW WEBHOOK</Button>
          <ActionMenu webhook={webhook} onAction={setOpen} />
        </Group>
        <Group gap="sm">
          <SearchBox
            label="Search webhooks"
            value={query.search}
            onChange={(search) => setQuery({ search })}
          />
          <Button variant="default" loading={webhooks.isRefetching} onClick={() => void refresh()}>
            Refresh
          </Button>
        </Group>
      </Group>
      {isGone && (
        <Alert
          variant="outline"
          color="var(--mantine-color-error)"
          role="alert"
          withCloseButton
          closeButtonLabel="Dismiss"
          onClose={() => select(undefined)}
        >
          The webhook that was selected was deleted.
        </Alert>
      )}
      <DataTable
        label="Webhooks"
        columns={columnsOf(isGone ? undefined : selectedId, select)}
        data={webhooks.data}
        error={webhooks.error}
        isStale={webhooks.isPlaceholderData}
        onRetry={webhooks.refetch}
        rowKey={(row) => row.id}
        isSelected={(row) => !isGone && row.id === selectedId}
        query={query}
        onQuery={setQuery}
        empty={
          query.search ? (
            <EmptyState title="No webhook has such a name">Search for another part of its name.</EmptyState>
          ) : (
            <EmptyState title="No webhook">
              NEW WEBHOOK adds one: it says which events of this project are sent where.
            </EmptyState>
          )
        }
      />
      {webhook && <DeliveriesPanel projectId={projectId} policyId={webhook.id} name={webhook.name ?? ""} />}
      {open === "add" && (
        <AddWebhook
          {...dialog}
          onAdded={(id) => {
            select(id);
            close();
          }}
        />
      )}
      {/* Open while the webhook is deleted: the form stays, with what was typed, and says so. */}
      {open === "edit" && selectedId !== undefined && <EditWebhook {...dialog} id={selectedId} />}
      {open === "test" && webhook && <TestDialog {...dialog} webhook={webhook} />}
      {open === "switch" && webhook && <SwitchDialog {...dialog} webhook={webhook} />}
      {open === "pause" && webhook && <PauseDialog {...dialog} webhook={webhook} />}
      {open === "resume" && webhook && <ResumeDialog {...dialog} webhook={webhook} />}
      {open === "delete" && webhook && (
        <DeleteDialog
          projectId={projectId}
          webhook={webhook}
          onClose={close}
          onDeleted={() => {
            select(undefined);
            close();
          }}
        />
      )}
    </Stack>
  );
}
