// SPDX-License-Identifier: Apache-2.0
import { Stack, Text, Title } from "@mantine/core";
import type { ReactNode } from "react";

import classes from "./EmptyState.module.css";

interface Props {
  title: string;
  children?: ReactNode;
  /** It is all of the page, so that its title is the page's heading. */
  isPage?: boolean;
}

/** Nothing is here: why, and what to do about it. */
export function EmptyState({ title, children, isPage }: Props) {
  return (
    <Stack align="center" gap="xs" className={classes.box}>
      {isPage ? (
        <Title order={1} size="h3">
          {title}
        </Title>
      ) : (
        <Text fw={600}>{title}</Text>
      )}
      {children && (
        <Text size="sm" c="dimmed" component="div" ta="center" maw={520}>
          {children}
        </Text>
      )}
    </Stack>
  );
}
