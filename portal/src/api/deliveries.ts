// SPDX-License-Identifier: Apache-2.0
// Deliveries of a webhook, one of them, and the news of both.
import { useMutation, useQuery, useQueryClient, type QueryFunctionContext } from "@tanstack/react-query";
import { useEffect, useState } from "react";

import { basePath } from "../base";
import { client, dataOf, pageOf, type Schemas } from "./client";
import type { ListQuery } from "./query";
import { oneAtATime, watchStream, type StreamState } from "./stream";

export type DeliveryRow = Schemas["DeliveryRow"];
export type Delivery = Schemas["Delivery"];
export type Attempt = Schemas["Attempt"];

/** Harbor's words for what a delivery came to. "" asks for all. */
export type StatusFilter = "" | "Running" | "Success" | "Error" | "Stopped";

const listKey = (projectId: string, policyId: number) => ["deliveries", projectId, policyId] as const;
const deliveryKey = (projectId: string, id: number) => ["delivery", projectId, id] as const;

// What is there already is read again because the page is open, not because somebody does something: that must not keep
// a session alive.
function renewalHeaders(context: QueryFunctionContext): Record<string, string> {
  return context.client.getQueryData(context.queryKey) === undefined
    ? {}
    : { "X-Harbor-No-Session-Renewal": "true" };
}

export function useDeliveries(projectId: string, policyId: number, query: ListQuery, status: StatusFilter) {
  return useQuery({
    queryKey: [...listKey(projectId, policyId), query, status],
    queryFn: (context) =>
      pageOf(
        client.GET(
          "/api/v2.0/projects/{project_name_or_id}/webhook/policies/{webhook_policy_id}/deliveries",
          {
            headers: renewalHeaders(context),
            params: {
              path: { project_name_or_id: projectId, webhook_policy_id: policyId },
              query: {
                page: query.page,
                page_size: query.pageSize,
                sort: query.sort,
                q: status ? `status=${status}` : undefined,
              },
            },
          },
        ),
      ),
    // The page before stands until the next one is there; another webhook's deliveries never do.
    placeholderData: (rows, last) => (last?.queryKey[2] === policyId ? rows : undefined),
  });
}

function deliveryPath(projectId: string, id: number) {
  return { project_name_or_id: projectId, delivery_id: id };
}

export function useDelivery(projectId: string, id: number) {
  return useQuery({
    queryKey: deliveryKey(projectId, id),
    queryFn: (context) =>
      dataOf(
        client.GET("/api/v2.0/projects/{project_name_or_id}/webhook/deliveries/{delivery_id}", {
          headers: renewalHeaders(context),
          params: { path: deliveryPath(projectId, id) },
        }),
      ),
    enabled: Number.isSafeInteger(id),
  });
}

/** All tries as text. */
export function useDeliveryLog(projectId: string, delivery: Pick<Delivery, "id" | "policy_id">) {
  return useQuery({
    queryKey: [...deliveryKey(projectId, delivery.id), "log"],
    queryFn: (context) =>
      dataOf(
        client.GET(
          "/api/v2.0/projects/{project_name_or_id}/webhook/policies/{webhook_policy_id}/executions/{execution_id}/tasks/{task_id}/log",
          {
            headers: renewalHeaders(context),
            parseAs: "text",
            params: {
              path: {
                project_name_or_id: projectId,
                webhook_policy_id: delivery.policy_id,
                execution_id: delivery.id,
                task_id: delivery.id,
              },
            },
          },
        ),
      ),
  });
}

/** Sends the same event once more; the result names the new delivery. */
export function useRedeliver(projectId: string, policyId: number) {
  const queries = useQueryClient();
  return useMutation({
    mutationFn: (id: number) =>
      dataOf(
        client.POST("/api/v2.0/projects/{project_name_or_id}/webhook/deliveries/{delivery_id}/redeliver", {
          params: { path: deliveryPath(projectId, id) },
        }),
      ),
    onSuccess: () => queries.invalidateQueries({ queryKey: listKey(projectId, policyId) }),
  });
}

/** Keeps the deliveries of a policy that a page shows as they are on the server, while `isWanted`. */
export function useDeliveryStream(projectId: string, policyId: number, isWanted = true) {
  const queries = useQueryClient();
  const [state, setState] = useState<StreamState>("connecting");
  const [isGone, setGone] = useState(false);

  useEffect(() => {
    if (!isWanted || !Number.isSafeInteger(policyId)) return;
    setState("connecting");
    setGone(false);
    const address = `${basePath}/api/v2.0/projects/${encodeURIComponent(projectId)}/webhook/policies/${policyId}/deliveries/stream`;
    return watchStream(address, "deliveries", {
      onState: setState,
      onChange: oneAtATime(() =>
        Promise.all([
          queries.invalidateQueries({ queryKey: listKey(projectId, policyId) }),
          queries.invalidateQueries({ queryKey: ["delivery", projectId] }),
        ]),
      ),
      onGone: () => {
        setGone(true);
        void queries.invalidateQueries();
      },
    });
  }, [queries, projectId, policyId, isWanted]);

  return { state, isGone };
}
