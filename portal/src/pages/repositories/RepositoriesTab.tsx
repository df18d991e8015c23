// SPDX-License-Identifier: Apache-2.0
import { Anchor, Button, Group } from "@mantine/core";
import { useState } from "react";
import { Link } from "react-router-dom";

import { useRepositories, type Repository } from "../../api/catalogue";
import { useProject, useProjectId } from "../../api/projects";
import { bytesWords } from "../../components/bytes";
import { DataTable, type Column } from "../../components/DataTable";
import { DeleteRepository } from "../../components/DeleteRepository";
import { EmptyState } from "../../components/EmptyState";
import { SearchBox } from "../../components/SearchBox";
import { Time } from "../../components/Time";
import { useListQuery } from "../../components/useListQuery";
import { useTitle } from "../../components/useTitle";

/** The name without its project. */
function shortName(repository: Repository): string {
  return repository.name.slice(repository.name.indexOf("/") + 1);
}

const columns: Column<Repository>[] = [
  {
    title: "Name",
    sort: "name",
    cell: (repository) => (
      <Anchor
        component={Link}
        to={`/harbor/projects/${repository.project_id}/repositories/${shortName(repository)}`}
        size="sm"
        className="foreign"
      >
        {shortName(repository)}
      </Anchor>
    ),
  },
  { title: "Artifacts", numeric: true, cell: (repository) => repository.artifact_count.toLocaleString() },
  {
    title: "Tags",
    numeric: true,
    cell: (repository) => repository.harbinger?.tag_count.toLocaleString() ?? "",
  },
  {
    title: "Size",
    numeric: true,
    cell: (repository) => (repository.harbinger ? bytesWords(repository.harbinger.size) : ""),
  },
  { title: "Pulls", numeric: true, cell: (repository) => repository.pull_count.toLocaleString() },
  { title: "Last push", cell: (repository) => <Time at={repository.harbinger?.last_push_time} /> },
  { title: "Changed", sort: "update_time", cell: (repository) => <Time at={repository.update_time} /> },
];

function deletes(onAsk: (repository: Repository) => void): Column<Repository> {
  return {
    title: "Actions",
    cell: (repository) => (
      <Button
        size="compact-xs"
        variant="default"
        aria-label={`Delete ${shortName(repository)}`}
        onClick={() => onAsk(repository)}
      >
        Delete
      </Button>
    ),
  };
}

export function RepositoriesTab() {
  const projectId = useProjectId();
  const project = useProject(projectId);
  const [query, setQuery] = useListQuery("name");
  const repositories = useRepositories(projectId, query);
  const [asked, setAsked] = useState<Repository>();
  useTitle("Repositories", project.data?.name);

  return (
    <>
      <Group justify="flex-end" mb="sm">
        <SearchBox
          label="Search repositories"
          value={query.search}
          onChange={(search) => setQuery({ search })}
        />
      </Group>
      <DataTable
        label="Repositories"
        columns={[...columns, deletes(setAsked)]}
        data={repositories.data}
        error={repositories.error}
        isStale={repositories.isPlaceholderData}
        onRetry={repositories.refetch}
        rowKey={(repository) => repository.id}
        query={query}
        onQuery={setQuery}
        empty={
          query.search ? (
            <EmptyState title="No repository has such a name">
              Search for another part of its name.
            </EmptyState>
          ) : (
            <EmptyState title="Nothing was pushed yet">
              A repository appears with the first push to it.{" "}
              <Anchor underline="always" component={Link} to="/harbor/first-steps" size="sm">
                How to push
              </Anchor>
            </EmptyState>
          )
        }
      />
      {asked && (
        <DeleteRepository
          repository={asked}
          onDeleted={() => setAsked(undefined)}
          onClose={() => setAsked(undefined)}
        />
      )}
    </>
  );
}
