// SPDX-License-Identifier: Apache-2.0
import { useCallback, useMemo } from "react";
import { useSearchParams } from "react-router-dom";

import type { ListQuery } from "../api/query";

export const PAGE_SIZES = [15, 25, 50, 100];
const SIZE_KEY = "harbinger.page-size";

function rememberedSize(): number {
  const size = Number(localStorage.getItem(SIZE_KEY));
  return PAGE_SIZES.includes(size) ? size : (PAGE_SIZES[0] ?? 15);
}

/**
 * What a list shows, kept in the address. Changing search, sort or size goes back to page 1.
 * `prefix` keeps two lists on one page apart.
 */
export function useListQuery(
  defaultSort: string,
  prefix = "",
): [ListQuery, (change: Partial<ListQuery>) => void] {
  const [params, setParams] = useSearchParams();
  const page = Number(params.get(`${prefix}page`));
  const size = Number(params.get(`${prefix}size`));
  const sort = params.get(`${prefix}sort`) ?? defaultSort;
  const search = params.get(`${prefix}search`) ?? "";

  const query = useMemo<ListQuery>(
    () => ({
      page: Number.isSafeInteger(page) && page > 0 ? page : 1,
      pageSize: PAGE_SIZES.includes(size) ? size : rememberedSize(),
      sort,
      search,
    }),
    [page, size, sort, search],
  );

  const change = useCallback(
    (next: Partial<ListQuery>) => {
      if (next.pageSize) localStorage.setItem(SIZE_KEY, String(next.pageSize));
      setParams(
        (old) => {
          const merged = new URLSearchParams(old);
          const set = (key: string, value: string, fallback: string) =>
            value === fallback ? merged.delete(prefix + key) : merged.set(prefix + key, value);
          set("page", String(next.page ?? 1), "1");
          if (next.pageSize) set("size", String(next.pageSize), "");
          if (next.sort !== undefined) set("sort", next.sort, defaultSort);
          if (next.search !== undefined) set("search", next.search, "");
          return merged;
        },
        { replace: next.search !== undefined },
      );
    },
    [setParams, prefix, defaultSort],
  );

  return [query, change];
}
