// SPDX-License-Identifier: Apache-2.0
// Who is signed in. `null` means nobody, or that the session has ended.
import { useMutation, useQuery, useQueryClient, type QueryClient } from "@tanstack/react-query";

import { ApiError, client, dataOf, type Schemas } from "./client";

export const sessionKey = ["session"] as const;

export function useSession() {
  return useQuery<Schemas["User"] | null>({
    queryKey: sessionKey,
    queryFn: async () => {
      try {
        return await dataOf(client.GET("/api/v2.0/users/current"));
      } catch (error) {
        if (error instanceof ApiError && error.status === 401) return null;
        throw error;
      }
    },
    staleTime: Infinity,
  });
}

/** From now on it is this user. Another one may see other things: nothing of the last one is shown. */
function changeUser(queries: QueryClient, user: Schemas["User"] | null): void {
  queries.removeQueries({ predicate: (query) => query.queryKey[0] !== sessionKey[0] });
  queries.setQueryData(sessionKey, user);
}

export interface Credentials {
  principal: string;
  password: string;
}

export function useLogin() {
  const queries = useQueryClient();
  return useMutation({
    mutationFn: async (body: Credentials) => {
      await dataOf(
        client.POST("/c/login", {
          body,
          headers: { "Content-Type": "application/x-www-form-urlencoded" },
          bodySerializer: (fields) => new URLSearchParams({ ...fields }),
        }),
      );
      return dataOf(client.GET("/api/v2.0/users/current"));
    },
    onSuccess: (user) => changeUser(queries, user),
  });
}

export function useLogout() {
  const queries = useQueryClient();
  return useMutation({
    mutationFn: () => dataOf(client.GET("/c/log_out")),
    onSuccess: () => changeUser(queries, null),
  });
}
