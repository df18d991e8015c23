// SPDX-License-Identifier: Apache-2.0
// Repositories and artifacts, as the registry's notifications told them.
import { keepPreviousData, useQuery } from "@tanstack/react-query";

import { client, dataOf, pageOf, type Schemas } from "./client";
import { searchCondition, type ListQuery } from "./query";

export type Repository = Schemas["Repository"];
export type Artifact = Schemas["Artifact"];

function listParams(query: ListQuery, searched: string) {
  return {
    page: query.page,
    page_size: query.pageSize,
    sort: query.sort,
    q: searchCondition(searched, query.search),
  };
}

export function useRepositories(projectId: string, query: ListQuery) {
  return useQuery({
    queryKey: ["repositories", projectId, query],
    queryFn: () =>
      pageOf(
        client.GET("/api/v2.0/projects/{project_name_or_id}/repositories", {
          params: { path: { project_name_or_id: projectId }, query: listParams(query, "name") },
        }),
      ),
    placeholderData: keepPreviousData,
  });
}

// Slashes of a name go out encoded: the client encodes the parameter once.
function repositoryPath(projectId: string, name: string) {
  return { project_name_or_id: projectId, repository_name: name };
}

export function useRepository(projectId: string, name: string) {
  return useQuery({
    queryKey: ["repository", projectId, name],
    queryFn: () =>
      dataOf(
        client.GET("/api/v2.0/projects/{project_name_or_id}/repositories/{repository_name}", {
          params: { path: repositoryPath(projectId, name) },
        }),
      ),
  });
}

export function useArtifacts(projectId: string, name: string, query: ListQuery) {
  return useQuery({
    queryKey: ["artifacts", projectId, name, query],
    queryFn: () =>
      pageOf(
        client.GET("/api/v2.0/projects/{project_name_or_id}/repositories/{repository_name}/artifacts", {
          params: {
            path: repositoryPath(projectId, name),
            query: { ...listParams(query, "digest"), with_tag: true },
          },
        }),
      ),
    placeholderData: keepPreviousData,
  });
}
