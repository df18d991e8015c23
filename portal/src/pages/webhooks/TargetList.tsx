// SPDX-License-Identifier: Apache-2.0
// The targets of a webhook: mostly one, and as many as somebody adds.
import { Button, Group, Stack } from "@mantine/core";
import type { UseFormReturnType } from "@mantine/form";
import { useEffect, useRef } from "react";

import { newTarget, type WebhookValues } from "./formValues";
import { TargetFields } from "./TargetFields";

const MAX_TARGETS = 32;

export function TargetList({ form }: { form: UseFormReturnType<WebhookValues> }) {
  const { targets } = form.values;
  const count = targets.length;
  const before = useRef(count);
  const list = useRef<HTMLDivElement>(null);
  const add = useRef<HTMLButtonElement>(null);
  // To the first field of a new target; from a removed one to where another is added.
  useEffect(() => {
    if (count > before.current) list.current?.lastElementChild?.querySelector("select")?.focus();
    if (count < before.current) add.current?.focus();
    before.current = count;
  }, [count]);
  return (
    <>
      <Stack ref={list}>
        {targets.map((target, index) => (
          <TargetFields
            key={target.key}
            form={form}
            index={index}
            onRemove={() => form.removeListItem("targets", index)}
          />
        ))}
      </Stack>
      {count < MAX_TARGETS && (
        <Group>
          <Button
            ref={add}
            size="compact-sm"
            variant="default"
            onClick={() => form.insertListItem("targets", newTarget())}
          >
            Add another target
          </Button>
        </Group>
      )}
    </>
  );
}
