// SPDX-License-Identifier: Apache-2.0
// One repository: its artifacts with their tags.
import { Anchor, Breadcrumbs, Text, Title } from "@mantine/core";
import { Link, useParams } from "react-router-dom";

import { useArtifacts, useRepository, type Artifact } from "../../api/catalogue";
import { ApiError } from "../../api/client";
import { useProject, useProjectId } from "../../api/projects";
import { bytesWords } from "../../components/bytes";
import { DataTable, type Column } from "../../components/DataTable";
import { EmptyState } from "../../components/EmptyState";
import { ErrorBox } from "../../components/ErrorBox";
import { Time } from "../../components/Time";
import { useListQuery } from "../../components/useListQuery";
import { useTitle } from "../../components/useTitle";
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

export function RepositoryPage() {
  const projectId = useProjectId();
  const name = useParams()["*"] ?? "";
  const project = useProject(projectId);
  const repository = useRepository(projectId, name);
  const [query, setQuery] = useListQuery("-push_time");
  const artifacts = useArtifacts(projectId, name, query);
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
      <Title order={1} className="foreign">
        {name}
      </Title>
      <Text size="sm" c="dimmed" mb="md">
        {repository.data
          ? `${repository.data.artifact_count.toLocaleString()} artifacts, pulled ${repository.data.pull_count.toLocaleString()} times`
          : " "}
      </Text>
      <DataTable
        label={`Artifacts of ${name}`}
        columns={columns}
        data={artifacts.data}
        error={artifacts.error}
        isStale={artifacts.isPlaceholderData}
        onRetry={artifacts.refetch}
        rowKey={(artifact) => artifact.id}
        query={query}
        onQuery={setQuery}
        empty={<EmptyState title="No artifacts">All of them were deleted.</EmptyState>}
      />
    </>
  );
}
