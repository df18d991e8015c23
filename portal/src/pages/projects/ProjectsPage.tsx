// SPDX-License-Identifier: Apache-2.0
import { Anchor, Button, Group, Title } from "@mantine/core";
import { useState } from "react";
import { Link } from "react-router-dom";

import { isPublic, useProjects, type Project } from "../../api/projects";
import { DataTable, type Column } from "../../components/DataTable";
import { EmptyState } from "../../components/EmptyState";
import { SearchBox } from "../../components/SearchBox";
import { Time } from "../../components/Time";
import { useListQuery } from "../../components/useListQuery";
import { useTitle } from "../../components/useTitle";
import { FirstSteps } from "../first-steps/FirstSteps";
import { CreateProject } from "./CreateProject";

const columns: Column<Project>[] = [
  {
    title: "Name",
    sort: "name",
    cell: (project) => (
      <Anchor
        component={Link}
        to={`/harbor/projects/${project.project_id}/webhook`}
        size="sm"
        className="foreign"
      >
        {project.name}
      </Anchor>
    ),
  },
  { title: "Access", cell: (project) => (isPublic(project) ? "Public" : "Private") },
  { title: "Repositories", numeric: true, cell: (project) => project.repo_count.toLocaleString() },
  { title: "Created", sort: "creation_time", cell: (project) => <Time at={project.creation_time} /> },
];

export function ProjectsPage() {
  const [query, setQuery] = useListQuery("-creation_time");
  const projects = useProjects(query);
  const [isCreating, setCreating] = useState(false);
  const isEmpty = projects.data?.total === 0 && !query.search;
  useTitle("Projects");

  return (
    <>
      <Group justify="space-between" mb="md">
        <Title order={1}>Projects</Title>
        <Group gap="sm">
          {!isEmpty && (
            <SearchBox
              label="Search projects"
              value={query.search}
              onChange={(search) => setQuery({ search })}
            />
          )}
          <Button onClick={() => setCreating(true)}>NEW PROJECT</Button>
        </Group>
      </Group>
      {isEmpty ? (
        <FirstSteps />
      ) : (
        <DataTable
          label="Projects"
          columns={columns}
          data={projects.data}
          error={projects.error}
          isStale={projects.isPlaceholderData}
          onRetry={projects.refetch}
          rowKey={(project) => project.project_id}
          query={query}
          onQuery={setQuery}
          empty={
            <EmptyState title="No project has such a name">Search for another part of its name.</EmptyState>
          }
        />
      )}
      {isCreating && <CreateProject onClose={() => setCreating(false)} />}
    </>
  );
}
