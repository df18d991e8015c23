// SPDX-License-Identifier: Apache-2.0
// Repositories and artifacts, as far as the server knows what the registry holds.
import { keepPreviousData, useMutation, useQuery, useQueryClient } from "@tanstack/react-query";

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

/** host[:port] that clients push to and pull from; empty while nobody has said it. */
export function useRegistryHost() {
  return useQuery({
    queryKey: ["systeminfo"],
    queryFn: () => dataOf(client.GET("/api/v2.0/systeminfo")),
    select: (info) => info.registry_url ?? "",
  });
}

function useForgetCatalogue() {
  const queries = useQueryClient();
  return () =>
    Promise.all(
      ["repositories", "repository", "artifacts", "project"].map((key) =>
        queries.invalidateQueries({ queryKey: [key] }),
      ),
    );
}

export function useDeleteRepository(projectId: string, name: string) {
  const queries = useQueryClient();
  const onError = useForgetCatalogue(); // a part of it may be gone
  // Not the repository itself: its page would find nothing before it is left.
  const onSuccess = () => queries.invalidateQueries({ queryKey: ["repositories"] });
  return useMutation({
    mutationFn: () =>
      dataOf(
        client.DELETE("/api/v2.0/projects/{project_name_or_id}/repositories/{repository_name}", {
          params: { path: repositoryPath(projectId, name) },
        }),
      ),
    onError,
    onSuccess,
  });
}

/** Without a tag the artifact with all its tags, with one that tag alone. */
export function useDeleteArtifact(projectId: string, name: string, digest: string) {
  const onSettled = useForgetCatalogue();
  return useMutation({
    mutationFn: (tag: string | null) => {
      const path = { ...repositoryPath(projectId, name), reference: digest };
      return tag === null
        ? dataOf(
            client.DELETE(
              "/api/v2.0/projects/{project_name_or_id}/repositories/{repository_name}/artifacts/{reference}",
              { params: { path } },
            ),
          )
        : dataOf(
            client.DELETE(
              "/api/v2.0/projects/{project_name_or_id}/repositories/{repository_name}/artifacts/{reference}/tags/{tag_name}",
              { params: { path: { ...path, tag_name: tag } } },
            ),
          );
    },
    onSettled,
  });
}
