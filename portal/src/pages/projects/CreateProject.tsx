// SPDX-License-Identifier: Apache-2.0
import { Button, Checkbox, Group, Modal, Stack, TextInput } from "@mantine/core";
import { useForm } from "@mantine/form";
import { useNavigate } from "react-router-dom";

import { ApiError } from "../../api/client";
import { useCreateProject } from "../../api/projects";
import { ErrorBox } from "../../components/ErrorBox";
import { useFocusBack } from "../../components/useFocusBack";

// As Harbor has it: lower case, digits, and single separators between them.
const NAME = /^[a-z0-9]+(?:[._-][a-z0-9]+)*$/;

function nameError(name: string): string | null {
  if (!name) return "Name is required";
  return NAME.test(name)
    ? null
    : "Lower-case letters and digits, with single dots, underscores or hyphens between them";
}

/** Asks for a name, makes the project and goes to its webhooks. Mounted while it is open. */
export function CreateProject({ onClose }: { onClose: () => void }) {
  useFocusBack();
  const create = useCreateProject();
  const navigate = useNavigate();
  const form = useForm({ initialValues: { name: "", isPublic: false }, validate: { name: nameError } });
  const isTaken = create.error instanceof ApiError && create.error.status === 409;

  return (
    <Modal opened onClose={onClose} title="New Project">
      <form
        noValidate
        onSubmit={form.onSubmit((values) =>
          create.mutate(values, { onSuccess: (id) => navigate(`/harbor/projects/${id}/webhook`) }),
        )}
      >
        <Stack>
          {create.error && !isTaken && <ErrorBox error={create.error} />}
          <TextInput
            label="Name"
            withAsterisk
            data-autofocus
            maxLength={255}
            {...form.getInputProps("name")}
            error={isTaken ? "Name already exists" : form.errors["name"]}
            onChange={(event) => {
              create.reset();
              form.setFieldValue("name", event.currentTarget.value);
            }}
          />
          <Checkbox
            label="Public"
            description="Everybody may see the project and its repositories; webhooks stay with its members."
            {...form.getInputProps("isPublic", { type: "checkbox" })}
          />
          <Group justify="flex-end">
            <Button variant="default" onClick={onClose}>
              CANCEL
            </Button>
            <Button type="submit" loading={create.isPending}>
              CREATE
            </Button>
          </Group>
        </Stack>
      </form>
    </Modal>
  );
}
