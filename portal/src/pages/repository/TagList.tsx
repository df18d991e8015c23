// SPDX-License-Identifier: Apache-2.0
import { Group, Text, UnstyledButton } from "@mantine/core";
import { useState } from "react";

import type { Schemas } from "../../api/client";
import classes from "./TagList.module.css";

const SHOWN = 6;

/** The tags of an artifact: the first few, and the rest on demand. */
export function TagList({ tags }: { tags: Schemas["Tag"][] }) {
  const [isOpen, setOpen] = useState(false);
  if (tags.length === 0)
    return (
      <Text span size="sm" c="dimmed">
        none
      </Text>
    );
  const shown = isOpen ? tags : tags.slice(0, SHOWN);
  return (
    <Group gap={6}>
      {shown.map((tag) => (
        <code key={tag.id} className={`foreign ${classes.tag}`}>
          {tag.name}
        </code>
      ))}
      {tags.length > SHOWN && (
        <UnstyledButton className={classes.more} aria-expanded={isOpen} onClick={() => setOpen(!isOpen)}>
          {isOpen ? "fewer" : `and ${tags.length - SHOWN} more`}
        </UnstyledButton>
      )}
    </Group>
  );
}
