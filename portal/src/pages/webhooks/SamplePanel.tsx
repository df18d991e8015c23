// SPDX-License-Identifier: Apache-2.0
import { Skeleton } from "@mantine/core";

import { useSample, type SampleQuery } from "../../api/webhooks";
import { BodyView } from "../../components/BodyView";
import { ErrorBox } from "../../components/ErrorBox";

/** What a target with such settings is sent for such an event, made by the server. */
export function SamplePanel({ projectId, sample }: { projectId: string; sample: SampleQuery }) {
  const body = useSample(projectId, sample);
  if (body.error) return <ErrorBox error={body.error} onRetry={body.refetch} />;
  if (!body.data) return <Skeleton height={160} />;
  return <BodyView label="Sample body" text={body.data.body} />;
}
