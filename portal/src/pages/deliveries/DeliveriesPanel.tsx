// SPDX-License-Identifier: Apache-2.0
// What was sent to a webhook and what waits, as it happens.
import { Anchor, Group, NativeSelect, Text, Title } from "@mantine/core";
import { Link, useSearchParams } from "react-router-dom";

import { ApiError } from "../../api/client";
import { useDeliveries, useDeliveryStream, type DeliveryRow, type StatusFilter } from "../../api/deliveries";
import { DataTable, type Column } from "../../components/DataTable";
import { EmptyState } from "../../components/EmptyState";
import { LiveMark } from "../../components/LiveMark";
import { StateMark } from "../../components/StateMark";
import { Time } from "../../components/Time";
import { durationWords } from "../../components/time";
import { useListQuery } from "../../components/useListQuery";
import { eventTypeWords } from "../webhooks/eventTypes";
import classes from "./DeliveriesPanel.module.css";
import { NextTry } from "./NextTry";
import { answerWords, isWaiting, stateKind, stateWords } from "./words";

const PREFIX = "d-";
const STATUS_KEY = `${PREFIX}state`;
const FILTERS: { value: StatusFilter; label: string }[] = [
  { value: "", label: "All" },
  { value: "Running", label: "Waiting" },
  { value: "Success", label: "Success" },
  { value: "Error", label: "Error" },
  { value: "Stopped", label: "Stopped" },
];

function useStatusFilter(): [StatusFilter, (status: string) => void] {
  const [params, setParams] = useSearchParams();
  const status = FILTERS.find((filter) => filter.value === params.get(STATUS_KEY))?.value ?? "";
  const change = (next: string) =>
    setParams((old) => {
      const merged = new URLSearchParams(old);
      merged.delete(`${PREFIX}page`);
      if (next) merged.set(STATUS_KEY, next);
      else merged.delete(STATUS_KEY);
      return merged;
    });
  return [status, change];
}

function columnsOf(projectId: string): Column<DeliveryRow>[] {
  return [
    {
      title: "ID",
      sort: "id",
      cell: (row) => (
        <Anchor
          component={Link}
          to={`/harbor/projects/${projectId}/webhook/${row.policy_id}/executions/${row.id}/tasks`}
          size="sm"
          aria-label={`Delivery ${row.id}`}
        >
          {row.id}
        </Anchor>
      ),
    },
    {
      title: "Status",
      sort: "status",
      cell: (row) => <StateMark kind={stateKind(row)}>{stateWords(row, row.attempts)}</StateMark>,
    },
    {
      title: "Event",
      cell: (row) => <span className={classes.event}>{eventTypeWords(row.event_type)}</span>,
    },
    {
      title: "Artifact",
      cell: (row) => (
        <Text lineClamp={3} title={row.artifact} className={`foreign ${classes.artifact}`}>
          {row.artifact}
        </Text>
      ),
    },
    { title: "Attempts", numeric: true, cell: (row) => row.attempts },
    {
      title: "Latency",
      numeric: true,
      cell: (row) =>
        row.last_duration_us === undefined ? (
          ""
        ) : (
          <span className={classes.latency}>{durationWords(row.last_duration_us)}</span>
        ),
    },
    { title: "Next try", cell: (row) => (isWaiting(row) ? <NextTry at={row.next_try_at} /> : "") },
    { title: "Created", sort: "start_time", cell: (row) => <Time at={row.created_at} /> },
    {
      title: "Last answer",
      cell: (row) => (
        <Text size="sm" lineClamp={2} title={answerWords(row)} className={`foreign ${classes.answer}`}>
          {answerWords(row)}
        </Text>
      ),
    },
  ];
}

function NothingSent({ isFiltered }: { isFiltered: boolean }) {
  if (isFiltered)
    return <EmptyState title="No delivery is in this state">Show all to see the others.</EmptyState>;
  return (
    <EmptyState title="Nothing was sent yet">
      Push an image to this project, and its delivery appears here. ACTION → TEST shows at once what the
      receiver answers; tests are not listed here.
    </EmptyState>
  );
}

export function DeliveriesPanel({
  projectId,
  policyId,
  name,
}: {
  projectId: string;
  policyId: number;
  name: string;
}) {
  const [query, setQuery] = useListQuery("-id", PREFIX);
  const [status, setStatus] = useStatusFilter();
  const deliveries = useDeliveries(projectId, policyId, query, status);
  const stream = useDeliveryStream(projectId, policyId);

  if (stream.isGone || (deliveries.error instanceof ApiError && deliveries.error.status === 404))
    return <EmptyState title="This webhook was deleted">What still waited was cancelled.</EmptyState>;
  return (
    <section aria-label="Deliveries">
      <Group justify="space-between" align="center" mb="sm">
        <Group gap="md" align="center">
          <Title order={2} className="foreign">
            Deliveries of {name}
          </Title>
          <LiveMark state={stream.state} />
        </Group>
        <NativeSelect
          aria-label="State of the deliveries"
          value={status}
          onChange={(event) => setStatus(event.currentTarget.value)}
          data={FILTERS}
        />
      </Group>
      <DataTable
        label={`Deliveries of ${name}`}
        columns={columnsOf(projectId)}
        data={deliveries.data}
        error={deliveries.error}
        isStale={deliveries.isPlaceholderData}
        onRetry={deliveries.refetch}
        rowKey={(row) => row.id}
        query={query}
        onQuery={setQuery}
        empty={<NothingSent isFiltered={status !== ""} />}
      />
    </section>
  );
}
