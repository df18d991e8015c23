// SPDX-License-Identifier: Apache-2.0
// The query cache, and what a list asks the server for.
import { QueryCache, QueryClient, MutationCache } from "@tanstack/react-query";

import { ApiError, NetworkError } from "./client";
import { sessionKey } from "./session";

const RETRIES = 2;

// A 401 anywhere means that the session has ended: the shell then shows the sign-in page, which leads back here.
function onError(error: Error): void {
  if (error instanceof ApiError && error.status === 401) queryClient.setQueryData(sessionKey, null);
}

export const queryClient: QueryClient = new QueryClient({
  queryCache: new QueryCache({ onError }),
  mutationCache: new MutationCache({ onError }),
  defaultOptions: {
    queries: {
      staleTime: 5_000,
      refetchOnWindowFocus: true,
      retry: (count, error) =>
        count < RETRIES &&
        (error instanceof NetworkError || (error instanceof ApiError && error.status >= 500)),
    },
  },
});

/** What a paged list shows: kept in the address, so that a link or a reload shows the same. */
export interface ListQuery {
  page: number;
  pageSize: number;
  sort: string;
  search: string;
}

/** A value for `q`, with what the grammar of `q` would read as its own taken out. */
export function searchCondition(field: string, text: string): string | undefined {
  const clean = text.replace(/[,=~[\]{}()]/g, " ").trim();
  return clean ? `${field}=~${clean}` : undefined;
}
