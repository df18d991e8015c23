// SPDX-License-Identifier: Apache-2.0
import { Skeleton, Text } from "@mantine/core";

import { useWebhookSummary } from "../../api/webhooks";
import { ErrorBox } from "../../components/ErrorBox";

/** How many deliveries of a webhook wait, and what will become of them. */
export function Waiting({
  projectId,
  id,
  fate,
}: {
  projectId: string;
  id: number;
  fate: "cancelled" | "kept" | "sent";
}) {
  const summary = useWebhookSummary(projectId, id);
  if (summary.error) return <ErrorBox error={summary.error} title="What waits cannot be counted" />;
  if (!summary.data) return <Skeleton height={16} />;
  const { waiting, waiting_is_more: isMore } = summary.data;
  if (waiting === 0) return <Text size="sm">Nothing waits.</Text>;
  const count = `${isMore ? "More than " : ""}${waiting.toLocaleString()}`;
  return (
    <Text size="sm" fw={600} aria-live="polite">
      {waiting === 1
        ? `1 delivery that waits will be ${fate}.`
        : `${count} deliveries that wait will be ${fate}.`}
    </Text>
  );
}
