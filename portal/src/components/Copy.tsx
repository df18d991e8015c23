// SPDX-License-Identifier: Apache-2.0
import { Button, CopyButton } from "@mantine/core";

/**
 * Copies a text. Browsers allow that over https and on this machine only; elsewhere there is no button, and the text
 * can still be marked. `label` says what is copied.
 */
export function Copy({
  label,
  text,
  className,
}: {
  label: string;
  text: string;
  className?: string | undefined;
}) {
  if (!window.isSecureContext) return null;
  return (
    <CopyButton value={text}>
      {({ copied, copy }) => (
        <Button
          size="compact-xs"
          variant="default"
          className={className}
          onClick={copy}
          aria-label={copied ? `Copied: ${label}` : `Copy: ${label}`}
        >
          {copied ? "Copied" : "Copy"}
        </Button>
      )}
    </CopyButton>
  );
}
