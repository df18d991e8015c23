// SPDX-License-Identifier: Apache-2.0
import { keepPreviousData, useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useParams } from "react-router-dom";

import { client, createdIdOf, dataOf, pageOf, type Schemas } from "./client";
import type { ListQuery } from "./query";

export type Project = Schemas["Project"];

/** "true" and "false" as Harbor writes them. */
export function isPublic(project: Project): boolean {
  return project.metadata["public"] === "true";
}

/** The project of the page's address. */
export function useProjectId(): string {
  return useParams()["projectId"] ?? "";
}

export function useProjects(query: ListQuery) {
  return useQuery({
    queryKey: ["projects", query],
    queryFn: () =>
      pageOf(
        client.GET("/api/v2.0/projects", {
          params: {
            query: {
              page: query.page,
              page_size: query.pageSize,
              sort: query.sort,
              name: query.search || undefined,
            },
          },
        }),
      ),
    placeholderData: keepPreviousData,
  });
}

export function useProject(id: string) {
  return useQuery({
    queryKey: ["project", id],
    queryFn: () =>
      dataOf(
        client.GET("/api/v2.0/projects/{project_name_or_id}", {
          params: { path: { project_name_or_id: id } },
        }),
      ),
  });
}

export function useProjectSummary(id: string) {
  return useQuery({
    queryKey: ["project", id, "summary"],
    queryFn: () =>
      dataOf(
        client.GET("/api/v2.0/projects/{project_name_or_id}/summary", {
          params: { path: { project_name_or_id: id } },
        }),
      ),
  });
}

export function useCreateProject() {
  const queries = useQueryClient();
  return useMutation({
    mutationFn: (project: { name: string; isPublic: boolean }) =>
      createdIdOf(
        client.POST("/api/v2.0/projects", {
          body: { project_name: project.name, metadata: { public: String(project.isPublic) } },
        }),
      ),
    onSuccess: () => queries.invalidateQueries({ queryKey: ["projects"] }),
  });
}

export function useSetVisibility(id: string) {
  const queries = useQueryClient();
  return useMutation({
    mutationFn: (toPublic: boolean) =>
      dataOf(
        client.PUT("/api/v2.0/projects/{project_name_or_id}", {
          params: { path: { project_name_or_id: id } },
          body: { metadata: { public: String(toPublic) } },
        }),
      ),
    onSuccess: () =>
      Promise.all([
        queries.invalidateQueries({ queryKey: ["projects"] }),
        queries.invalidateQueries({ queryKey: ["project", id] }),
      ]),
  });
}
