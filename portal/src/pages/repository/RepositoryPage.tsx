// SPDX-License-Identifier: Apache-2.0
// One repository: its artifacts with their tags.
import { Anchor, Breadcrumbs, Button, Group, Text, Title } from "@mantine/core";
import { useState } from "react";
import { Link, useNavigate, useParams } from "react-router-dom";

import { useArtifacts, useRepository, type Artifact } from "../../api/catalogue";
import { ApiError } from "../../api/client";
import { useProject, useProjectId } from "../../api/projects";
import { bytesWords } from "../../components/bytes";
import { DataTable, type Column } from "../../components/DataTable";
import { DeleteRepository } from "../../components/DeleteRepository";
import { EmptyState } from "../../components/EmptyState";
import { ErrorBox } from "../../components/ErrorBox";
import { Time } from "../../components/Time";
import { useListQuery } from "../../components/useListQuery";
import { useTitle } from "../../components/useTitle";
import { DeleteArtifact, PullDialog } from "./ArtifactDialogs";
import { TagList } from "./TagList";

const DIGEST_CHARS = "sha256:".length + 12;

function platformWords(artifact: Artifact): string {
  const { os, architecture, variant } = artifact.extra_attrs ?? {};
  return [os, architecture, variant].filter(Boolean).join("/");
}

const columns: Column<Artifact>[] = [
  {
    title: "Artifact",
    cell: (artifact) => (
      <code title={artifact.digest} className="foreign">
        {artifact.digest.slice(0, DIGEST_CHARS)}
      </code>
    ),
  },
  { title: "Tags", cell: (artifact) => <TagList tags={artifact.tags ?? []} /> },
  { title: "Kind", cell: (artifact) => artifact.harbinger?.kind ?? artifact.type.toLowerCase() },
  { title: "Platform", cell: (artifact) => <span className="foreign">{platformWords(artifact)}</span> },
  {
    title: "Size",
    numeric: true,
    cell: (artifact) => (artifact.size === undefined ? "" : bytesWords(artifact.size)),
  },
  { title: "Pushed", sort: "push_time", cell: (artifact) => <Time at={artifact.push_time} /> },
  { title: "Pulled", cell: (artifact) => <Time at={artifact.pull_time} /> },
];

type Asked = { what: "pull" | "delete"; artifact: Artifact };

/** What can be done with a row: each opens a dialog. */
function actions(onAsk: (asked: Asked) => void): Column<Artifact> {
  return {
    title: "Actions",
    cell: (artifact) => {
      const label = artifact.tags?.[0]?.name ?? artifact.digest.slice(0, DIGEST_CHARS);
      return (
        <Group gap={6} wrap="nowrap">
          <Button
            size="compact-xs"
            variant="default"
            aria-label={`Pull ${label}`}
            onClick={() => onAsk({ what: "pull", artifact })}
          >
            Pull
          </Button>
          <Button
            size="compact-xs"
            variant="default"
            aria-label={`Delete ${label}`}
            onClick={() => onAsk({ what: "delete", artifact })}
          >
            Delete
          </Button>
        </Group>
      );
    },
  };
}

export function RepositoryPage() {
  const projectId = useProjectId();
  const name = useParams()["*"] ?? "";
  const project = useProject(projectId);
  const repository = useRepository(projectId, name);
  const [query, setQuery] = useListQuery("-push_time");
  const artifacts = useArtifacts(projectId, name, query);
  const navigate = useNavigate();
  const [asked, setAsked] = useState<Asked>();
  const [isDeleting, setDeleting] = useState(false);
  const close = () => setAsked(undefined);
  useTitle(name, project.data?.name);

  if (repository.error instanceof ApiError && repository.error.status === 404)
    return (
      <EmptyState isPage title="There is no such repository">
        It may have been deleted.{" "}
        <Anchor
          underline="always"
          component={Link}
          to={`/harbor/projects/${projectId}/repositories`}
          size="sm"
        >
          To the repositories
        </Anchor>
      </EmptyState>
    );
  if (repository.error) return <ErrorBox error={repository.error} onRetry={repository.refetch} />;
  return (
    <>
      <Breadcrumbs mb={4}>
        <Anchor component={Link} to="/harbor/projects" size="sm">
          Projects
        </Anchor>
        <Anchor
          component={Link}
          to={`/harbor/projects/${projectId}/repositories`}
          size="sm"
          className="foreign"
        >
          {project.data?.name ?? projectId}
        </Anchor>
      </Breadcrumbs>
      <Group justify="space-between" align="flex-start">
        <Title order={1} className="foreign">
          {name}
        </Title>
        <Button variant="default" disabled={!repository.data} onClick={() => setDeleting(true)}>
          DELETE REPOSITORY
        </Button>
      </Group>
      <Text size="sm" c="dimmed" mb="md">
        {repository.data
          ? `${repository.data.artifact_count.toLocaleString()} artifacts, pulled ${repository.data.pull_count.toLocaleString()} times`
          : " "}
      </Text>
      <DataTable
        label={`Artifacts of ${name}`}
        columns={[...columns, actions(setAsked)]}
        data={artifacts.data}
        error={artifacts.error}
        isStale={artifacts.isPlaceholderData}
        onRetry={artifacts.refetch}
        rowKey={(artifact) => artifact.id}
        query={query}
        onQuery={setQuery}
        empty={<EmptyState title="No artifacts">All of them were deleted.</EmptyState>}
      />
      {asked?.what === "pull" && <PullDialog artifact={asked.artifact} onClose={close} />}
      {asked?.what === "delete" && (
        <DeleteArtifact projectId={projectId} name={name} artifact={asked.artifact} onClose={close} />
      )}
      {isDeleting && repository.data && (
        <DeleteRepository
          repository={repository.data}
          onDeleted={() => navigate(`/harbor/projects/${projectId}/repositories`)}
          onClose={() => setDeleting(false)}
        />
      )}
    </>
  );
}
