// SPDX-License-Identifier: Apache-2.0
import { Button, Checkbox, Fieldset, Group, SimpleGrid, Text } from "@mantine/core";
import { useId } from "react";

import { EVENT_TYPES, eventTypeWords } from "./eventTypes";

interface Props {
  value: string[];
  error: string | undefined;
  onChange: (types: string[]) => void;
}

const KNOWN = EVENT_TYPES.map((one) => one.type);

/** A check box for each type of event, with what its notification contains. */
export function EventTypeFields({ value, error, onChange }: Props) {
  const id = useId();
  const errorId = `${id}-error`;
  // A type that only the server knows is shown by its name, and kept.
  const types = [...KNOWN, ...value.filter((type) => !KNOWN.includes(type))];
  const toggle = (type: string, isOn: boolean) =>
    onChange(
      isOn ? types.filter((one) => one === type || value.includes(one)) : value.filter((one) => one !== type),
    );

  return (
    <Fieldset
      legend="Event Type"
      aria-describedby={error ? errorId : undefined}
      aria-invalid={Boolean(error)}
    >
      <Group gap="xs" mb="sm">
        <Button size="compact-xs" variant="default" onClick={() => onChange(types)}>
          All
        </Button>
        <Button size="compact-xs" variant="default" onClick={() => onChange([])}>
          None
        </Button>
      </Group>
      <SimpleGrid cols={{ base: 1, sm: 2 }} verticalSpacing="sm">
        {types.map((type) => (
          <Checkbox
            key={type}
            label={eventTypeWords(type)}
            description={
              <span id={`${id}-${type}`}>{EVENT_TYPES.find((one) => one.type === type)?.contains}</span>
            }
            aria-describedby={`${id}-${type}`}
            checked={value.includes(type)}
            onChange={(event) => toggle(type, event.currentTarget.checked)}
          />
        ))}
      </SimpleGrid>
      {error && (
        <Text id={errorId} size="sm" c="var(--mantine-color-error)" mt="sm">
          {error}
        </Text>
      )}
    </Fieldset>
  );
}
