// SPDX-License-Identifier: Apache-2.0
// Where a webhook sends to, and how: the fields of one target.
import {
  Button,
  Checkbox,
  Fieldset,
  Group,
  NativeSelect,
  PasswordInput,
  SimpleGrid,
  Stack,
  TextInput,
} from "@mantine/core";
import type { UseFormReturnType } from "@mantine/form";

import { SECRET_MASK, type WebhookValues } from "./formValues";

interface Props {
  form: UseFormReturnType<WebhookValues>;
  index: number;
  onRemove: () => void;
}

const TYPES = [
  { value: "http", label: "HTTP" },
  { value: "slack", label: "SLACK" },
];

/** What a target is sent. */
export function TargetKind({ form, index }: Omit<Props, "onRemove">) {
  const isHttp = form.values.targets[index]?.type === "http";
  return (
    <SimpleGrid cols={{ base: 1, xs: 2 }}>
      <NativeSelect
        label="Notify Type"
        data={TYPES}
        description={isHttp ? undefined : "At most one message a second, as Slack allows."}
        {...form.getInputProps(`targets.${index}.type`)}
      />
      {isHttp && (
        <NativeSelect
          label="Payload Format"
          data={["Default", "CloudEvents"]}
          {...form.getInputProps(`targets.${index}.payloadFormat`)}
        />
      )}
    </SimpleGrid>
  );
}

function TargetEndpoint({ form, index }: Omit<Props, "onRemove">) {
  const target = form.values.targets[index];
  if (!target) return null;
  const field = (name: string) => form.getInputProps(`targets.${index}.${name}`);
  const box = (name: string) => form.getInputProps(`targets.${index}.${name}`, { type: "checkbox" });
  const isHttp = target.type === "http";
  return (
    <Stack gap="sm">
      <TextInput
        label="Endpoint URL"
        withAsterisk
        type="text"
        inputMode="url"
        autoComplete="off"
        spellCheck={false}
        placeholder={isHttp ? "https://ci.example.com/hook" : "https://hooks.slack.com/services/..."}
        {...field("address")}
      />
      {isHttp && (
        <PasswordInput
          label="Auth Header"
          autoComplete="new-password" // no login of this page: nothing is filled in or kept
          spellCheck={false}
          visibilityToggleButtonProps={{ "aria-label": "Show what is typed as Auth Header", tabIndex: 0 }}
          description={
            target.authHeader === SECRET_MASK
              ? "A value is kept; it is unchanged unless you type a new one. Empty removes it."
              : "Sent as the header Authorization, for instance: Bearer TOKEN. Nobody is shown it again."
          }
          {...field("authHeader")}
          onFocus={(event) => {
            if (target.authHeader === SECRET_MASK) event.currentTarget.select();
          }}
        />
      )}
      <Checkbox
        label="Verify Remote Certificate"
        description="Off only for an endpoint with a self-signed certificate."
        {...box("verifyCertificate")}
      />
      {isHttp && (
        <Checkbox
          label="Send Harbinger's own member"
          description="Adds the member harbinger to the body: event ID, actor, sizes and more. Off: exactly Harbor's bytes."
          {...box("extras")}
        />
      )}
      <Checkbox
        label="Strict order"
        description="One delivery after the other, in the order of the events. While one is retried, all later ones wait for it."
        {...box("strictOrder")}
      />
    </Stack>
  );
}

/** One of several targets has all its fields in a frame; the only one's kind stands further up in the form. */
export function TargetFields({ form, index, onRemove }: Props) {
  const count = form.values.targets.length;
  if (count === 1) return <TargetEndpoint form={form} index={index} />;
  return (
    <Fieldset legend={`Target ${index + 1} of ${count}`}>
      <Stack gap="sm">
        <TargetKind form={form} index={index} />
        <TargetEndpoint form={form} index={index} />
      </Stack>
      <Group justify="flex-end" mt="xs">
        <Button
          size="compact-sm"
          variant="default"
          onClick={onRemove}
          aria-label={`Remove target ${index + 1}`}
        >
          Remove
        </Button>
      </Group>
    </Fieldset>
  );
}
