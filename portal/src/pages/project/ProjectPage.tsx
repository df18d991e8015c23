// SPDX-License-Identifier: Apache-2.0
// One project: its name, its tabs, and the tab's page.
import { Anchor, Breadcrumbs, Group, Tabs, Text, Title } from "@mantine/core";
import { Link, Outlet, useLocation, useNavigate } from "react-router-dom";

import { ApiError } from "../../api/client";
import { isPublic, useProject, useProjectId } from "../../api/projects";
import { EmptyState } from "../../components/EmptyState";
import { ErrorBox } from "../../components/ErrorBox";

const TABS = [
  ["summary", "Summary"],
  ["repositories", "Repositories"],
  ["webhook", "Webhooks"],
] as const;

export function ProjectPage() {
  const id = useProjectId();
  const project = useProject(id);
  const navigate = useNavigate();
  const current = useLocation().pathname.split("/").pop() ?? "summary";

  if (project.error instanceof ApiError && (project.error.status === 404 || project.error.status === 422))
    return (
      <EmptyState isPage title="There is no such project">
        It may have been deleted.{" "}
        <Anchor underline="always" component={Link} to="/harbor/projects">
          To the projects
        </Anchor>
      </EmptyState>
    );
  if (project.error) return <ErrorBox error={project.error} onRetry={() => project.refetch()} />;
  return (
    <>
      <Breadcrumbs mb={4}>
        <Anchor component={Link} to="/harbor/projects" size="sm">
          Projects
        </Anchor>
      </Breadcrumbs>
      <Group gap="sm" align="baseline" mb="sm">
        <Title order={1} className="foreign">
          {project.data?.name ?? " "}
        </Title>
        {project.data && (
          <Text size="sm" c="dimmed">
            {isPublic(project.data) ? "Public" : "Private"}
          </Text>
        )}
      </Group>
      <Tabs
        value={current}
        onChange={(tab) => navigate(`/harbor/projects/${id}/${tab ?? "summary"}`)}
        keepMounted={false}
      >
        <Tabs.List mb="md" aria-label="Project">
          {TABS.map(([path, words]) => (
            <Tabs.Tab key={path} value={path}>
              {words}
            </Tabs.Tab>
          ))}
        </Tabs.List>
        {TABS.map(([path]) => (
          <Tabs.Panel key={path} value={path}>
            <Outlet />
          </Tabs.Panel>
        ))}
      </Tabs>
    </>
  );
}
