// SPDX-License-Identifier: Apache-2.0
// A list that the server pages and sorts: loading, empty and failed states, footer, keyboard and screen reader ways.
import { Group, NativeSelect, Pagination, Skeleton, Table, Text, UnstyledButton } from "@mantine/core";
import type { ReactNode } from "react";

import type { Page } from "../api/client";
import type { ListQuery } from "../api/query";
import classes from "./DataTable.module.css";
import { ErrorBox } from "./ErrorBox";
import { PAGE_SIZES } from "./useListQuery";

export interface Column<Row> {
  title: string;
  /** The server's sort key; absent: not sortable. */
  sort?: string;
  cell: (row: Row) => ReactNode;
  /** Numbers stand to the right. */
  numeric?: boolean;
  width?: string;
}

interface Props<Row> {
  /** What is listed, for screen readers. */
  label: string;
  columns: Column<Row>[];
  data: Page<Row> | undefined;
  error: Error | null;
  isStale?: boolean;
  onRetry?: () => unknown;
  rowKey: (row: Row) => string | number;
  isSelected?: (row: Row) => boolean;
  query: ListQuery;
  onQuery: (change: Partial<ListQuery>) => void;
  empty: ReactNode;
}

const LOADING_ROWS = 5;

function SortHeader({
  title,
  sort,
  query,
  onQuery,
}: { title: string; sort: string } & Pick<Props<never>, "query" | "onQuery">) {
  const ascending = query.sort === sort;
  const descending = query.sort === `-${sort}`;
  return (
    <UnstyledButton className={classes.sort} onClick={() => onQuery({ sort: ascending ? `-${sort}` : sort })}>
      {title}
      <span aria-hidden="true" className={classes.arrow}>
        {ascending ? "▲" : descending ? "▼" : "↕"}
      </span>
    </UnstyledButton>
  );
}

function ariaSort(query: ListQuery, sort: string | undefined) {
  if (sort === undefined) return undefined;
  if (query.sort === sort) return "ascending" as const;
  return query.sort === `-${sort}` ? ("descending" as const) : ("none" as const);
}

export function DataTable<Row>(props: Props<Row>) {
  const { columns, data, error, query, onQuery } = props;
  if (error && !data) return <ErrorBox error={error} onRetry={props.onRetry} />;
  if (data && data.total === 0) return <>{props.empty}</>;
  return (
    <div>
      {error && <ErrorBox error={error} onRetry={props.onRetry} />}
      {/* Scrolls sideways on small screens, and so must be reachable by keyboard. */}
      {/* eslint-disable-next-line jsx-a11y/no-noninteractive-tabindex */}
      <div className={classes.scroll} role="region" aria-label={props.label} tabIndex={0}>
        <Table
          verticalSpacing="xs"
          highlightOnHover
          className={classes.table}
          aria-busy={!data || props.isStale}
        >
          <Table.Thead>
            <Table.Tr>
              {columns.map((column) => (
                <Table.Th
                  key={column.title}
                  w={column.width}
                  className={column.numeric ? classes.numeric : undefined}
                  aria-sort={ariaSort(query, column.sort)}
                >
                  {column.sort === undefined ? (
                    column.title
                  ) : (
                    <SortHeader title={column.title} sort={column.sort} query={query} onQuery={onQuery} />
                  )}
                </Table.Th>
              ))}
            </Table.Tr>
          </Table.Thead>
          <Table.Tbody>
            {data
              ? data.rows.map((row) => (
                  <Table.Tr
                    key={props.rowKey(row)}
                    data-selected={props.isSelected?.(row) || undefined}
                    className={classes.row}
                  >
                    {columns.map((column) => (
                      <Table.Td key={column.title} className={column.numeric ? classes.numeric : undefined}>
                        {column.cell(row)}
                      </Table.Td>
                    ))}
                  </Table.Tr>
                ))
              : Array.from({ length: LOADING_ROWS }, (_, row) => (
                  <Table.Tr key={row}>
                    {columns.map((column) => (
                      <Table.Td key={column.title}>
                        <Skeleton height={14} />
                      </Table.Td>
                    ))}
                  </Table.Tr>
                ))}
          </Table.Tbody>
        </Table>
      </div>
      {data && <Footer query={query} onQuery={onQuery} data={data} label={props.label} />}
    </div>
  );
}

function Footer({
  query,
  onQuery,
  data,
  label,
}: Pick<Props<unknown>, "query" | "onQuery" | "label"> & { data: Page<unknown> }) {
  const first = (query.page - 1) * query.pageSize + 1;
  const pages = Math.max(1, Math.ceil(data.total / query.pageSize));
  return (
    <Group justify="space-between" mt="sm" gap="sm">
      <Group gap="xs">
        <NativeSelect
          size="xs"
          aria-label={`Page size of ${label}`}
          value={query.pageSize}
          onChange={(event) => onQuery({ pageSize: Number(event.currentTarget.value) })}
          data={PAGE_SIZES.map((size) => ({ value: String(size), label: `${size} a page` }))}
        />
        <Text size="sm" c="dimmed" role="status">
          {data.rows.length > 0
            ? `${first} – ${first + data.rows.length - 1} of ${data.total.toLocaleString()}`
            : `nothing on page ${query.page} of ${pages}`}
        </Text>
      </Group>
      {pages > 1 && (
        <Pagination
          size="sm"
          value={query.page}
          onChange={(page) => onQuery({ page })}
          total={pages}
          siblings={1}
          getItemProps={(page) => ({ "aria-label": `Page ${page}` })}
          getControlProps={(control) => ({ "aria-label": `${control} page` })}
          aria-label={`Pages of ${label}`}
        />
      )}
    </Group>
  );
}
