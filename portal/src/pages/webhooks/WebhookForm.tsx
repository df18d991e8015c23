// SPDX-License-Identifier: Apache-2.0
// The form of a webhook: adding one, editing one, and trying it before it is saved.
import { Alert, Button, Checkbox, Group, Stack, TextInput, Textarea } from "@mantine/core";
import { useForm, type UseFormReturnType } from "@mantine/form";
import { useDebouncedCallback } from "@mantine/hooks";
import { useEffect, useRef, useState, type ReactNode } from "react";

import { isNameTaken, type WebhookRequest } from "../../api/webhooks";
import { ErrorBox } from "../../components/ErrorBox";
import { EventTypeFields } from "./EventTypeFields";
import { addressError, placeError, requestOf, type PlacedErrors, type WebhookValues } from "./formValues";
import { TargetKind } from "./TargetFields";
import { TargetList } from "./TargetList";
import { TestPanel } from "./TestPanel";
import classes from "./WebhookForm.module.css";

const NAME_CHECK_MS = 500;
const NAME_TAKEN = "Name already exists";

type Send = (body: WebhookRequest) => void;

/** Stands above the buttons; may send what the form holds in a way of its own. */
export type Notice = (sendBy: (send: Send) => void) => ReactNode;

interface Props {
  projectId: string;
  /** The webhook being edited; undefined: a new one. */
  policyId: number | undefined;
  initial: WebhookValues;
  /** ADD or SAVE. */
  submit: string;
  enabled: boolean;
  isPending: boolean;
  error: Error | null;
  notice?: Notice | undefined;
  onSubmit: Send;
  onCancel: () => void;
  onDirty: (isDirty: boolean) => void;
}

function useWebhookForm(initial: WebhookValues) {
  return useForm<WebhookValues>({
    initialValues: initial,
    validateInputOnBlur: false,
    validate: {
      name: (name) => (name.trim() ? null : "Name is required"),
      eventTypes: (types) => (types.length > 0 ? null : "Require at least one event type"),
      targets: { address: addressError },
    },
  });
}

/** Looks while somebody types whether the name is free, as the server will say in the end. */
function useNameCheck(
  form: UseFormReturnType<WebhookValues>,
  projectId: string,
  policyId: number | undefined,
) {
  const check = useDebouncedCallback(async (name: string) => {
    const isTaken = await isNameTaken(projectId, name, policyId).catch(() => false); // the server decides when saving
    if (isTaken && form.getValues().name.trim() === name) form.setFieldError("name", NAME_TAKEN);
  }, NAME_CHECK_MS);
  return (name: string) => {
    form.setFieldValue("name", name);
    check(name.trim());
  };
}

export function WebhookForm(props: Props) {
  const { projectId, policyId, error, onDirty } = props;
  const form = useWebhookForm(props.initial);
  const changeName = useNameCheck(form, projectId, policyId);
  const box = useRef<HTMLFormElement>(null);
  const nameField = useRef<HTMLInputElement>(null);
  const said = useRef<HTMLDivElement>(null);
  const [refusals, setRefusals] = useState(0); // how often it was not sent or not taken
  const isDirty = form.isDirty();
  const placed = error ? placeError(error, form.values) : null;

  const show = ({ fields }: PlacedErrors) => form.setErrors({ ...form.errors, ...fields });
  // The refusal of the server, put at its field once.
  useEffect(() => {
    if (!error) return;
    show(placeError(error, form.getValues()));
    setRefusals((count) => count + 1);
    // eslint-disable-next-line react-hooks/exhaustive-deps -- once per refusal, not per keystroke
  }, [error]);
  useEffect(() => onDirty(isDirty), [isDirty, onDirty]);
  // A form that comes after its dialog, or instead of another, begins at its name.
  useEffect(() => nameField.current?.focus(), []);
  // To the first field that is wrong, once the errors stand there, else to what was said; never while somebody types.
  useEffect(() => {
    if (refusals === 0) return;
    const wrong = box.current?.querySelector<HTMLElement>('[aria-invalid="true"]');
    const field = wrong?.matches("fieldset")
      ? wrong.querySelector<HTMLElement>("input[type=checkbox]")
      : wrong;
    (field ?? said.current)?.focus();
  }, [refusals]);
  const hasErrors = Object.keys(form.errors).length > 0;
  const { targets } = form.values;
  const sending = (send: Send) =>
    form.onSubmit(
      (values) => send(requestOf(values, props.enabled)),
      () => setRefusals((count) => count + 1),
    );
  const fitToTest = () => {
    const isFit = targets
      .map((_, index) => form.validateField(`targets.${index}.address`).hasError)
      .every((hasError) => !hasError);
    if (!isFit) setRefusals((count) => count + 1);
    return isFit;
  };
  const onTestRefused = (errors: PlacedErrors) => {
    show(errors);
    if (!errors.rest) setRefusals((count) => count + 1);
  };

  const name = form.getInputProps("name");
  return (
    <form ref={box} noValidate onSubmit={sending(props.onSubmit)}>
      <Stack>
        <div className={classes.columns}>
          <Stack>
            <TextInput
              label="Name"
              withAsterisk
              data-autofocus
              ref={nameField}
              maxLength={256}
              {...name}
              onChange={(event) => changeName(event.currentTarget.value)}
            />
            <Textarea
              label="Description"
              autosize
              minRows={1}
              maxRows={6}
              {...form.getInputProps("description")}
            />
            {targets.length === 1 && <TargetKind form={form} index={0} />}
            <EventTypeFields
              value={form.values.eventTypes}
              error={form.errors["eventTypes"] as string | undefined}
              onChange={(types) => form.setFieldValue("eventTypes", types)}
            />
            <Checkbox
              label="Tagged artifacts only"
              description="Leaves out what was pushed by digest alone, such as the images that an index lists."
              {...form.getInputProps("taggedOnly", { type: "checkbox" })}
            />
            <TargetList form={form} />
          </Stack>
          <div className={classes.test}>
            <TestPanel
              projectId={projectId}
              policyId={policyId}
              values={form.values}
              validate={fitToTest}
              onRefused={onTestRefused}
            />
          </div>
        </div>
        <div ref={said} tabIndex={-1} className={classes.said}>
          {props.notice?.((send) => sending(send)())}
          {placed?.rest && !props.notice && (
            <ErrorBox error={placed.rest} title="The webhook was not saved" />
          )}
          {placed && !placed.rest && hasErrors && (
            <Alert color="var(--mantine-color-error)" variant="outline" role="alert">
              Not saved: see the fields that are marked.
            </Alert>
          )}
        </div>
        <Group justify="flex-end">
          <Button variant="default" onClick={props.onCancel}>
            CANCEL
          </Button>
          <Button type="submit" loading={props.isPending}>
            {props.submit}
          </Button>
        </Group>
      </Stack>
    </form>
  );
}
