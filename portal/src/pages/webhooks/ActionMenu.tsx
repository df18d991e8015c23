// SPDX-License-Identifier: Apache-2.0
import { Button, Menu } from "@mantine/core";

import type { Webhook } from "../../api/webhooks";
import { isPaused, suspendedTarget } from "./formValues";

export type WebhookAction = "edit" | "test" | "switch" | "pause" | "resume" | "delete";

/** What can be done with the selected webhook. */
export function ActionMenu({
  webhook,
  onAction,
}: {
  webhook: Webhook | undefined;
  onAction: (action: WebhookAction) => void;
}) {
  return (
    // Each item opens a dialog: it has the focus then, and gives it back to the button.
    <Menu
      position="bottom-start"
      disabled={!webhook}
      returnFocus={false}
      withinPortal={false}
      withInitialFocusPlaceholder={false}
    >
      <Menu.Target>
        <Button variant="default" disabled={!webhook} rightSection={<span aria-hidden="true">▾</span>}>
          ACTION
        </Button>
      </Menu.Target>
      <Menu.Dropdown>
        <Menu.Item onClick={() => onAction("edit")}>EDIT</Menu.Item>
        <Menu.Item onClick={() => onAction("test")}>TEST</Menu.Item>
        <Menu.Item onClick={() => onAction("switch")}>{webhook?.enabled ? "DEACTIVATE" : "ENABLE"}</Menu.Item>
        {webhook?.enabled && !isPaused(webhook) && (
          <Menu.Item onClick={() => onAction("pause")}>PAUSE</Menu.Item>
        )}
        {webhook?.enabled && (isPaused(webhook) || suspendedTarget(webhook)) && (
          <Menu.Item onClick={() => onAction("resume")}>RESUME</Menu.Item>
        )}
        <Menu.Item onClick={() => onAction("delete")}>DELETE</Menu.Item>
      </Menu.Dropdown>
    </Menu>
  );
}
