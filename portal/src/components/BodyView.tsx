// SPDX-License-Identifier: Apache-2.0
// A body from outside, always as text: raw, or indented when it is JSON.
import { Button, Group, SegmentedControl, Text } from "@mantine/core";
import { useMemo, useState } from "react";

import classes from "./BodyView.module.css";
import { bytesWords } from "./bytes";
import { Copy } from "./Copy";
import { looksLikeJson, prettyJson } from "./pretty";

const AT_ONCE_CHARS = 256 << 10; // more than this is laid out only when somebody asks for it

type View = "pretty" | "raw";

interface Props {
  /** What the body is, also for screen readers. */
  label: string;
  text: string;
  /** The text is only the beginning of what was sent. */
  truncated?: boolean;
}

function sizeWords(text: string, truncated: boolean | undefined): string {
  const size = bytesWords(new TextEncoder().encode(text).length);
  return truncated ? `the first ${size}` : size;
}

export function BodyView({ label, text, truncated }: Props) {
  const isLarge = text.length > AT_ONCE_CHARS;
  const [chosen, setChosen] = useState<View | null>(null);
  const [isWhole, setWhole] = useState(false);
  // A large body is not parsed before somebody asks for it.
  const isAsked = !isLarge || chosen === "pretty";
  const pretty = useMemo(() => (isAsked ? prettyJson(text) : undefined), [isAsked, text]);
  const isJson = isLarge ? looksLikeJson(text) : pretty !== undefined;
  const view = isJson ? (chosen ?? (isLarge ? "raw" : "pretty")) : "raw";
  const size = useMemo(() => sizeWords(text, truncated), [text, truncated]);

  const whole = (view === "pretty" ? pretty : undefined) ?? text;
  const isCut = !isWhole && whole.length > AT_ONCE_CHARS;
  return (
    <div>
      <Group gap="sm" mb={4} mih={26}>
        <Text size="sm" fw={600}>
          {label}
        </Text>
        {text && (
          <Text size="sm" c="dimmed">
            {size}
          </Text>
        )}
        {isJson && (
          <SegmentedControl
            size="xs"
            aria-label={`View of ${label}`}
            value={view}
            onChange={(value) => setChosen(value as View)}
            data={[
              { value: "pretty", label: "Pretty" },
              { value: "raw", label: "Raw" },
            ]}
          />
        )}
        {text && <Copy label={label} text={text} />}
      </Group>
      {view === "pretty" && pretty === undefined && (
        <Text size="sm" c="dimmed" mb={4}>
          This is not valid JSON, and shown as it is.
        </Text>
      )}
      {text ? (
        // Long bodies scroll, and so must be reachable by keyboard.
        // eslint-disable-next-line jsx-a11y/no-noninteractive-tabindex
        <pre className={`foreign ${classes.text}`} tabIndex={0} role="region" aria-label={label}>
          {isCut ? whole.slice(0, AT_ONCE_CHARS) : whole}
        </pre>
      ) : (
        <Text size="sm" c="dimmed">
          Empty
        </Text>
      )}
      {isCut && (
        <Group gap="xs" mt={4}>
          <Text size="sm" c="dimmed">
            Only the beginning is shown.
          </Text>
          <Button size="compact-xs" variant="default" onClick={() => setWhole(true)}>
            Show all of it
          </Button>
        </Group>
      )}
    </div>
  );
}
