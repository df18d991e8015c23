// SPDX-License-Identifier: Apache-2.0
// The dialogs around the form: a new webhook; one that is there, which somebody else may change or delete meanwhile.
import { Alert, Button, Center, Group, Loader, Modal, Text } from "@mantine/core";
import { useCallback, useRef, useState, type ReactNode } from "react";

import { ApiError } from "../../api/client";
import { useCreateWebhook, useUpdateWebhook, useWebhook, type WebhookRequest } from "../../api/webhooks";
import { ErrorBox } from "../../components/ErrorBox";
import { useFocusBack } from "../../components/useFocusBack";
import { newWebhook, valuesOf } from "./formValues";
import { WebhookForm, type Notice } from "./WebhookForm";

const INTRO = "Specify the endpoint for receiving webhook notifications";

interface FrameProps {
  title: string;
  onClose: () => void;
  children: (close: () => void, onDirty: (isDirty: boolean) => void) => ReactNode;
}

/** A dialog that is not left by accident: outside clicks do nothing, and what was typed is asked about. */
function Frame({ title, onClose, children }: FrameProps) {
  useFocusBack();
  const isDirty = useRef(false);
  const [isAsking, setAsking] = useState(false);
  const close = () => (isDirty.current ? setAsking(true) : onClose());
  const onDirty = useCallback((dirty: boolean) => {
    isDirty.current = dirty;
  }, []);
  return (
    <>
      <Modal
        opened
        onClose={close}
        title={title}
        size="74rem"
        closeOnClickOutside={false}
        closeOnEscape={!isAsking}
        centered={false}
      >
        <Text size="sm" c="dimmed" mb="md">
          {INTRO}
        </Text>
        {children(close, onDirty)}
      </Modal>
      <Modal opened={isAsking} onClose={() => setAsking(false)} title="Discard what you typed?">
        <Text size="sm">Nothing of it is saved.</Text>
        <Group justify="flex-end" mt="lg">
          <Button variant="default" data-autofocus onClick={() => setAsking(false)}>
            KEEP EDITING
          </Button>
          <Button onClick={onClose}>DISCARD</Button>
        </Group>
      </Modal>
    </>
  );
}

export function AddWebhook({
  projectId,
  onAdded,
  onClose,
}: {
  projectId: string;
  onAdded: (id: number) => void;
  onClose: () => void;
}) {
  const create = useCreateWebhook(projectId);
  const [initial] = useState(newWebhook);
  return (
    <Frame title="Add Webhook" onClose={onClose}>
      {(close, onDirty) => (
        <WebhookForm
          projectId={projectId}
          policyId={undefined}
          initial={initial}
          submit="ADD"
          enabled
          isPending={create.isPending}
          error={create.error}
          onSubmit={(body) => create.mutate(body, { onSuccess: onAdded })}
          onCancel={close}
          onDirty={onDirty}
        />
      )}
    </Frame>
  );
}

function Changed({ onLoad, onOverwrite }: { onLoad: () => void; onOverwrite: () => void }) {
  return (
    <Alert
      color="var(--mantine-color-error)"
      variant="outline"
      role="alert"
      title="This webhook was changed by someone else while you were editing"
    >
      <Text size="sm">Load what is there now and lose what you typed, or overwrite it with yours.</Text>
      <Group mt="xs">
        <Button size="xs" variant="default" onClick={onLoad}>
          LOAD THEIRS
        </Button>
        <Button size="xs" variant="default" onClick={onOverwrite}>
          OVERWRITE
        </Button>
      </Group>
    </Alert>
  );
}

function Gone() {
  return (
    <Alert
      color="var(--mantine-color-error)"
      variant="outline"
      role="alert"
      title="This webhook was deleted while you were editing"
    >
      <Text size="sm">What you typed is still here to be copied, but there is nothing to save it to.</Text>
    </Alert>
  );
}

function hasStatus(error: Error | null, status: number): boolean {
  return error instanceof ApiError && error.status === status;
}

export function EditWebhook({
  projectId,
  id,
  onClose,
}: {
  projectId: string;
  id: number;
  onClose: () => void;
}) {
  const current = useWebhook(projectId, id, true);
  const update = useUpdateWebhook(projectId);
  const isGone = hasStatus(update.error, 404) || hasStatus(current.error, 404);
  const isChanged = hasStatus(update.error, 412);

  const save = (body: WebhookRequest, etag: string | undefined) => {
    update.mutate({ id, body, ...(etag ? { etag } : {}) }, { onSuccess: onClose });
  };
  const load = async () => {
    update.reset();
    await current.refetch();
  };
  const changed: Notice = (sendBy) => (
    <Changed onLoad={() => void load()} onOverwrite={() => sendBy((body) => save(body, undefined))} />
  );
  return (
    <Frame title="Edit Webhook" onClose={onClose}>
      {(close, onDirty) => {
        if (!current.data)
          return current.error ? (
            <ErrorBox error={current.error} title="The webhook cannot be read" />
          ) : (
            <Center h={200}>
              <Loader aria-label="Loading" />
            </Center>
          );
        const { value, etag } = current.data;
        return (
          <EditForm
            key={etag} // another state of it is another form
            projectId={projectId}
            id={id}
            value={value}
            isPending={update.isPending}
            error={update.error}
            notice={isGone ? () => <Gone /> : isChanged ? changed : undefined}
            onSubmit={(body) => save(body, etag)}
            onCancel={close}
            onDirty={onDirty}
          />
        );
      }}
    </Frame>
  );
}

interface EditFormProps {
  projectId: string;
  id: number;
  value: Parameters<typeof valuesOf>[0];
  isPending: boolean;
  error: Error | null;
  notice: Notice | undefined;
  onSubmit: (body: WebhookRequest) => void;
  onCancel: () => void;
  onDirty: (isDirty: boolean) => void;
}

function EditForm({ id, value, ...rest }: EditFormProps) {
  const [initial] = useState(() => valuesOf(value));
  return <WebhookForm {...rest} policyId={id} initial={initial} submit="SAVE" enabled={value.enabled} />;
}
