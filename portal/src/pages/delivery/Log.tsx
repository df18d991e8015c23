// SPDX-License-Identifier: Apache-2.0
import { Button, Skeleton, Title } from "@mantine/core";
import { useId, useState } from "react";

import { useDeliveryLog, type Delivery } from "../../api/deliveries";
import { BodyView } from "../../components/BodyView";
import { ErrorBox } from "../../components/ErrorBox";

interface Props {
  projectId: string;
  delivery: Delivery;
}

function LogText({ projectId, delivery }: Props) {
  const log = useDeliveryLog(projectId, delivery);
  if (log.error) return <ErrorBox error={log.error} onRetry={log.refetch} />;
  if (log.data === undefined) return <Skeleton height={120} />;
  return <BodyView label="Log text" text={log.data} />;
}

/** All attempts as one text, read when somebody asks for it. */
export function Log(props: Props) {
  const [isOpen, setOpen] = useState(false);
  const id = useId();
  return (
    <section aria-label="Log">
      <Title order={2} mb="xs">
        Log
      </Title>
      <Button
        size="xs"
        variant="default"
        mb="xs"
        aria-expanded={isOpen}
        aria-controls={isOpen ? id : undefined}
        onClick={() => setOpen(!isOpen)}
      >
        {isOpen ? "Hide the log" : "Show the log"}
      </Button>
      {isOpen && (
        <div id={id}>
          <LogText {...props} />
        </div>
      )}
    </section>
  );
}
