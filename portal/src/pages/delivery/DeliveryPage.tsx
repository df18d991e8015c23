// SPDX-License-Identifier: Apache-2.0
// One delivery: where it stands, each try with request and answer, the body, the log.
import { Anchor, Breadcrumbs, Button, Group, Skeleton, Stack, Title } from "@mantine/core";
import { useEffect, useRef } from "react";
import { Link, useLocation, useNavigate, useParams } from "react-router-dom";

import { ApiError } from "../../api/client";
import { useDelivery, useDeliveryStream, useRedeliver, type Delivery } from "../../api/deliveries";
import { useProject, useProjectId } from "../../api/projects";
import { EmptyState } from "../../components/EmptyState";
import { ErrorBox } from "../../components/ErrorBox";
import { LiveMark } from "../../components/LiveMark";
import { StateMark } from "../../components/StateMark";
import { useTitle } from "../../components/useTitle";
import { isWaiting, stateKind, stateWords } from "../deliveries/words";
import { Attempts } from "./Attempts";
import { DeliveryFacts } from "./DeliveryFacts";
import { Log } from "./Log";
import classes from "./DeliveryPage.module.css";
import { RequestBody } from "./RequestBody";

/** The webhooks of the project, with this one selected. */
function webhookAddress(projectId: string, policyId: string | number): string {
  return `/harbor/projects/${projectId}/webhook?policy=${policyId}`;
}

function Trail({ projectId, policyId }: { projectId: string; policyId: string }) {
  const project = useProject(projectId);
  return (
    <Breadcrumbs mb={4} className={classes.trail}>
      <Anchor component={Link} to="/harbor/projects" size="sm">
        Projects
      </Anchor>
      <Anchor component={Link} to={`/harbor/projects/${projectId}/webhook`} size="sm" className="foreign">
        {project.data?.name ?? projectId}
      </Anchor>
      <Anchor component={Link} to={webhookAddress(projectId, policyId)} size="sm">
        Webhook {policyId}
      </Anchor>
    </Breadcrumbs>
  );
}

function NotFound({ projectId, policyId }: { projectId: string; policyId: string }) {
  return (
    <>
      <Title order={1} mb="md">
        Delivery
      </Title>
      <EmptyState isPage title="There is no such delivery">
        It may have been removed with its project, or because it was old.{" "}
        <Anchor component={Link} to={webhookAddress(projectId, policyId)} size="sm" underline="always">
          To the deliveries of the webhook
        </Anchor>
      </EmptyState>
    </>
  );
}

/** What the page that sent again tells the page of the new delivery. */
interface Arrival {
  isNew?: boolean;
}

function Details({ projectId, delivery }: { projectId: string; delivery: Delivery }) {
  const navigate = useNavigate();
  const location = useLocation();
  const heading = useRef<HTMLHeadingElement>(null);
  const redeliver = useRedeliver(projectId, delivery.policy_id);
  const isLive = isWaiting(delivery);
  const stream = useDeliveryStream(projectId, delivery.policy_id, isLive);
  const attempts = delivery.attempts ?? [];
  const isNew = (location.state as Arrival | null)?.isNew ?? false;

  useEffect(() => {
    if (isNew) heading.current?.focus();
  }, [isNew]);

  function sendAgain() {
    redeliver.mutate(delivery.id, {
      onSuccess: ({ id }) => {
        const state: Arrival = { isNew: true };
        navigate(`/harbor/projects/${projectId}/webhook/${delivery.policy_id}/executions/${id}/tasks`, {
          state,
        });
      },
    });
  }

  return (
    <Stack gap="lg">
      <div>
        <Group justify="space-between" align="center" mb="md">
          <Group gap="md" align="center">
            <Title order={1} ref={heading} tabIndex={-1}>
              Delivery {delivery.id}
            </Title>
            <StateMark kind={stateKind(delivery)}>{stateWords(delivery, attempts.length)}</StateMark>
            {isLive && <LiveMark state={stream.state} />}
          </Group>
          <Button variant="default" onClick={sendAgain} loading={redeliver.isPending}>
            REDELIVER
          </Button>
        </Group>
        {redeliver.error && <ErrorBox error={redeliver.error} title="It was not sent again" />}
        <DeliveryFacts delivery={delivery} />
      </div>
      <Attempts attempts={attempts} />
      <RequestBody payload={delivery.payload} />
      <Log projectId={projectId} delivery={delivery} />
    </Stack>
  );
}

function Loading() {
  return (
    <Stack aria-busy="true">
      <Skeleton height={28} width={220} />
      <Skeleton height={140} />
      <Skeleton height={220} />
    </Stack>
  );
}

function Content({
  projectId,
  policyId,
  deliveryId,
}: Record<"projectId" | "policyId" | "deliveryId", string>) {
  const id = Number(deliveryId);
  const delivery = useDelivery(projectId, id);
  const isElsewhere = delivery.data !== undefined && String(delivery.data.policy_id) !== policyId;
  const isUnknown = delivery.error instanceof ApiError && [404, 422].includes(delivery.error.status);

  if (!Number.isSafeInteger(id) || isElsewhere || isUnknown)
    return <NotFound projectId={projectId} policyId={policyId} />;
  if (!delivery.data)
    return delivery.error ? <ErrorBox error={delivery.error} onRetry={delivery.refetch} /> : <Loading />;
  return (
    <>
      {delivery.error && <ErrorBox error={delivery.error} onRetry={delivery.refetch} />}
      <Details projectId={projectId} delivery={delivery.data} />
    </>
  );
}

export function DeliveryPage() {
  const projectId = useProjectId();
  const { policyId = "", deliveryId = "" } = useParams();
  const project = useProject(projectId);
  useTitle(`Delivery ${deliveryId}`, project.data?.name);
  return (
    <>
      <Trail projectId={projectId} policyId={policyId} />
      <Content key={deliveryId} projectId={projectId} policyId={policyId} deliveryId={deliveryId} />
    </>
  );
}
