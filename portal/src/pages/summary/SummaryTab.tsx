// SPDX-License-Identifier: Apache-2.0
import { Button, Skeleton, Stack, Text } from "@mantine/core";
import { useState } from "react";

import {
  isPublic,
  useProject,
  useProjectId,
  useProjectSummary,
  useSetVisibility,
  type Project,
} from "../../api/projects";
import type { Schemas } from "../../api/client";
import { bytesWords } from "../../components/bytes";
import { ConfirmDialog } from "../../components/ConfirmDialog";
import { ErrorBox } from "../../components/ErrorBox";
import { Facts } from "../../components/Facts";
import { Time } from "../../components/Time";
import { useTitle } from "../../components/useTitle";

function storageWords(quota: Schemas["ProjectSummary"]["quota"]): string {
  const used = quota.used.storage === undefined ? "" : `${bytesWords(quota.used.storage)} used, `;
  return quota.hard.storage < 0 ? `${used}no limit` : `${used}limit ${bytesWords(quota.hard.storage)}`;
}

function Visibility({ project }: { project: Project }) {
  const [isAsking, setAsking] = useState(false);
  const change = useSetVisibility(String(project.project_id));
  const toPublic = !isPublic(project);
  const words = toPublic ? "Make public" : "Make private";
  return (
    <>
      {toPublic ? "Private" : "Public"}{" "}
      <Button size="compact-xs" variant="default" ml="xs" onClick={() => setAsking(true)}>
        {words}
      </Button>
      {isAsking && (
        <ConfirmDialog
          title={words}
          confirm={words}
          isPending={change.isPending}
          error={change.error}
          onConfirm={() => change.mutate(toPublic, { onSuccess: () => setAsking(false) })}
          onClose={() => setAsking(false)}
        >
          <Text>
            {toPublic
              ? "Everybody will see the project, its repositories and tags, signed in or not. Webhooks and deliveries stay hidden."
              : "Only those who may see the project will see its repositories and tags."}
          </Text>
        </ConfirmDialog>
      )}
    </>
  );
}

export function SummaryTab() {
  const id = useProjectId();
  const project = useProject(id);
  const summary = useProjectSummary(id);
  useTitle("Summary", project.data?.name);

  const error = project.error ?? summary.error;
  if (error)
    return <ErrorBox error={error} onRetry={() => Promise.all([project.refetch(), summary.refetch()])} />;
  if (!project.data || !summary.data)
    return (
      <Stack maw={480}>
        <Skeleton height={16} />
        <Skeleton height={16} />
        <Skeleton height={16} />
      </Stack>
    );
  return (
    <Facts>
      <dt>Access</dt>
      <dd>
        <Visibility project={project.data} />
      </dd>
      <dt>Repositories</dt>
      <dd>{summary.data.repo_count.toLocaleString()}</dd>
      <dt>Storage</dt>
      <dd>{storageWords(summary.data.quota)}</dd>
      <dt>Created</dt>
      <dd>
        <Time at={project.data.creation_time} />
      </dd>
      <dt>Owner</dt>
      <dd className="foreign">{project.data.owner_name ?? "nobody"}</dd>
    </Facts>
  );
}
