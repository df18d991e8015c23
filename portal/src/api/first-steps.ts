// SPDX-License-Identifier: Apache-2.0
import { useQuery } from "@tanstack/react-query";

import { client, dataOf } from "./client";

const WATCH_MS = 2_000;

/** How far this system is on the way to its first delivered webhook; asked again until it is there. */
export function useFirstSteps() {
  return useQuery({
    queryKey: ["first-steps"],
    queryFn: () =>
      dataOf(
        client.GET("/api/v2.0/harbinger/first-steps", { headers: { "X-Harbor-No-Session-Renewal": "true" } }),
      ),
    refetchInterval: (query) => (query.state.data?.delivery ? false : WATCH_MS),
  });
}
