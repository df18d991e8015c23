// SPDX-License-Identifier: Apache-2.0
import { Button, Group, Modal } from "@mantine/core";
import type { ReactNode } from "react";

import { ErrorBox } from "./ErrorBox";
import { useFocusBack } from "./useFocusBack";

interface Props {
  title: string;
  /** What happens, in words. */
  children: ReactNode;
  /** The button that does it. */
  confirm: string;
  isDangerous?: boolean;
  isPending: boolean;
  error: Error | null;
  onConfirm: () => void;
  onClose: () => void;
}

/** Asks before something that cannot be taken back. Mounted while it is open. */
export function ConfirmDialog(props: Props) {
  useFocusBack();
  return (
    <Modal opened onClose={props.onClose} title={props.title}>
      {props.children}
      {props.error && <ErrorBox error={props.error} />}
      <Group justify="flex-end" mt="lg">
        <Button variant="default" data-autofocus onClick={props.onClose}>
          CANCEL
        </Button>
        <Button
          color={props.isDangerous ? "red.9" : undefined}
          loading={props.isPending}
          onClick={props.onConfirm}
        >
          {props.confirm}
        </Button>
      </Group>
    </Modal>
  );
}
