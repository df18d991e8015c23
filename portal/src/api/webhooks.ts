// SPDX-License-Identifier: Apache-2.0
// Webhook policies: reading, changing, testing.
import { keepPreviousData, useMutation, useQuery, useQueryClient } from "@tanstack/react-query";

import { client, createdIdOf, dataOf, pageOf, taggedOf, type Schemas } from "./client";
import { searchCondition, type ListQuery } from "./query";

export type Webhook = Schemas["WebhookPolicy"];
export type WebhookRequest = Schemas["WebhookPolicyReq"];
export type WebhookTestResult = Schemas["WebhookTest"];
export type EventType = Schemas["EventType"];

const POLICIES = "/api/v2.0/projects/{project_name_or_id}/webhook/policies";
const POLICY = "/api/v2.0/projects/{project_name_or_id}/webhook/policies/{webhook_policy_id}";

const listKey = (projectId: string) => ["webhooks", projectId] as const;
const webhookKey = (projectId: string, id: number) => ["webhook", projectId, id] as const;

function pathOf(projectId: string, id: number) {
  return { project_name_or_id: projectId, webhook_policy_id: id };
}

export function useWebhooks(projectId: string, query: ListQuery) {
  return useQuery({
    queryKey: [...listKey(projectId), query],
    queryFn: () =>
      pageOf(
        client.GET(POLICIES, {
          params: {
            path: { project_name_or_id: projectId },
            query: {
              page: query.page,
              page_size: query.pageSize,
              sort: query.sort,
              q: searchCondition("name", query.search),
            },
          },
        }),
      ),
    placeholderData: keepPreviousData,
  });
}

/** One webhook and the name of this state of it. `refresh` reads it anew each time it is asked for. */
export function useWebhook(projectId: string, id: number | undefined, refresh = false) {
  return useQuery({
    // The form's own copy is no news for others, and theirs none for it.
    queryKey: refresh ? ["webhook-form", projectId, id] : webhookKey(projectId, id ?? 0),
    queryFn: () => taggedOf(client.GET(POLICY, { params: { path: pathOf(projectId, id ?? 0) } })),
    enabled: id !== undefined,
    // A form that is open must not change under who types.
    ...(refresh ? { gcTime: 0, staleTime: Infinity, refetchOnWindowFocus: false } : {}),
  });
}

/** How much waits: what deactivating or deleting would cancel, and resuming send. */
export function useWebhookSummary(projectId: string, id: number) {
  return useQuery({
    queryKey: [...webhookKey(projectId, id), "summary"],
    queryFn: () =>
      dataOf(
        client.GET("/api/v2.0/projects/{project_name_or_id}/webhook/policies/{webhook_policy_id}/summary", {
          params: { path: pathOf(projectId, id) },
        }),
      ),
    staleTime: 0,
    gcTime: 0,
  });
}

/** Is there a webhook of this name already, besides the one being edited? */
export async function isNameTaken(
  projectId: string,
  name: string,
  ownId: number | undefined,
): Promise<boolean> {
  const condition = searchCondition("name", name);
  if (!condition) return false;
  const { rows } = await pageOf(
    client.GET(POLICIES, {
      params: { path: { project_name_or_id: projectId }, query: { q: condition, page_size: 100 } },
    }),
  );
  return rows.some((row) => row.name === name && row.id !== ownId);
}

function useRefreshed(projectId: string) {
  const queries = useQueryClient();
  return (id?: number) =>
    Promise.all([
      queries.invalidateQueries({ queryKey: listKey(projectId) }),
      ...(id === undefined ? [] : [queries.invalidateQueries({ queryKey: webhookKey(projectId, id) })]),
    ]);
}

export function useCreateWebhook(projectId: string) {
  const refresh = useRefreshed(projectId);
  return useMutation({
    mutationFn: (body: WebhookRequest) =>
      createdIdOf(client.POST(POLICIES, { params: { path: { project_name_or_id: projectId } }, body })),
    onSuccess: () => refresh(),
  });
}

/** `etag`: of the state that was read; without it the change is made whatever is there. */
export interface WebhookUpdate {
  id: number;
  body: WebhookRequest;
  etag?: string;
}

export function useUpdateWebhook(projectId: string) {
  const refresh = useRefreshed(projectId);
  return useMutation({
    mutationFn: ({ id, body, etag }: WebhookUpdate) =>
      dataOf(
        client.PUT(POLICY, {
          params: { path: pathOf(projectId, id), header: etag ? { "If-Match": etag } : {} },
          body,
        }),
      ),
    onSuccess: (_, { id }) => refresh(id),
  });
}

export function useDeleteWebhook(projectId: string) {
  const refresh = useRefreshed(projectId);
  return useMutation({
    mutationFn: (id: number) => dataOf(client.DELETE(POLICY, { params: { path: pathOf(projectId, id) } })),
    onSuccess: () => refresh(),
  });
}

export function usePauseWebhook(projectId: string) {
  const refresh = useRefreshed(projectId);
  return useMutation({
    mutationFn: ({ id, body }: { id: number; body: Schemas["WebhookPauseReq"] }) =>
      dataOf(
        client.POST("/api/v2.0/projects/{project_name_or_id}/webhook/policies/{webhook_policy_id}/pause", {
          params: { path: pathOf(projectId, id) },
          body,
        }),
      ),
    onSuccess: (_, { id }) => refresh(id),
  });
}

export function useResumeWebhook(projectId: string) {
  const refresh = useRefreshed(projectId);
  return useMutation({
    mutationFn: ({ id, body }: { id: number; body: Schemas["WebhookResumeReq"] }) =>
      dataOf(
        client.POST("/api/v2.0/projects/{project_name_or_id}/webhook/policies/{webhook_policy_id}/resume", {
          params: { path: pathOf(projectId, id) },
          body,
        }),
      ),
    onSuccess: (_, { id }) => refresh(id),
  });
}

export function useTestUnsaved(projectId: string) {
  return useMutation({
    mutationFn: (body: Schemas["WebhookTestReq"]) =>
      dataOf(
        client.POST("/api/v2.0/projects/{project_name_or_id}/webhook/policies/test", {
          params: { path: { project_name_or_id: projectId } },
          body,
        }),
      ),
  });
}

export function useTestSaved(projectId: string, id: number) {
  return useMutation({
    mutationFn: (body: Schemas["SavedWebhookTestReq"]) =>
      dataOf(
        client.POST("/api/v2.0/projects/{project_name_or_id}/webhook/policies/{webhook_policy_id}/test", {
          params: { path: pathOf(projectId, id) },
          body,
        }),
      ),
  });
}

export interface SampleQuery {
  eventType: string;
  notifyType: string;
  payloadFormat: string;
  extras: boolean;
}

/** The body that such a target would be sent for such an event. */
export function useSample(projectId: string, sample: SampleQuery) {
  return useQuery({
    queryKey: ["sample", projectId, sample],
    queryFn: () =>
      dataOf(
        client.GET("/api/v2.0/projects/{project_name_or_id}/webhook/sample", {
          params: {
            path: { project_name_or_id: projectId },
            query: {
              event_type: sample.eventType,
              notify_type: sample.notifyType,
              payload_format: sample.payloadFormat,
              extras: sample.extras,
            },
          },
        }),
      ),
    staleTime: Infinity,
    placeholderData: keepPreviousData,
  });
}
