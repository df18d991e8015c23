// SPDX-License-Identifier: Apache-2.0
// What a delivery is about, where it goes, and what it waits for.
import { Alert, Text } from "@mantine/core";
import type { ReactNode } from "react";

import type { Delivery } from "../../api/deliveries";
import type { Schemas } from "../../api/client";
import { Copy } from "../../components/Copy";
import { Facts } from "../../components/Facts";
import { Time } from "../../components/Time";
import { NextTry } from "../deliveries/NextTry";
import { answerWords, isWaiting } from "../deliveries/words";
import { eventTypeWords } from "../webhooks/eventTypes";
import classes from "./DeliveryFacts.module.css";

function Fact({ name, children }: { name: string; children: ReactNode }) {
  return (
    <>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </>
  );
}

function EventId({ id }: { id: string }) {
  return (
    <>
      <code className="foreign">{id}</code> <Copy label="event ID" text={id} />
    </>
  );
}

function Receiver({ lane }: { lane: Schemas["Lane"] }) {
  return (
    <Fact name="Receiver">
      <ul className={classes.reasons}>
        {lane.paused && <li>It asked for a pause with its last answer; nothing is sent to it meanwhile.</li>}
        {lane.breaker_open && <li>It failed so often that only one try at a time is made.</li>}
        {!lane.paused && !lane.breaker_open && <li>Nothing holds deliveries to it back.</li>}
        {lane.running > 0 && (
          <li>
            {lane.running === 1 ? "One delivery is" : `${lane.running} deliveries are`} on the way to it.
          </li>
        )}
        {lane.next_at && (
          <li>
            The next one goes out <Time at={lane.next_at} />.
          </li>
        )}
      </ul>
    </Fact>
  );
}

export function DeliveryFacts({ delivery }: { delivery: Delivery }) {
  const lastAnswer = answerWords(delivery);
  return (
    <>
      {delivery.suspended && (
        <Alert color="var(--mantine-color-error)" variant="outline" mb="md" title="The webhook is suspended">
          {delivery.suspended_reason && (
            <Text size="sm" className="foreign">
              {delivery.suspended_reason}
            </Text>
          )}
          <Text size="sm">Its deliveries wait until the webhook is resumed: ACTION → RESUME.</Text>
        </Alert>
      )}
      {delivery.webhook_paused && (
        <Alert color="var(--mantine-color-dimmed)" variant="outline" mb="md" title="The webhook is paused">
          <Text size="sm">Its deliveries wait until the webhook is resumed: ACTION → RESUME.</Text>
        </Alert>
      )}
      <Facts>
        <Fact name="Event">{eventTypeWords(delivery.event_type)}</Fact>
        {delivery.artifact && (
          <Fact name="Artifact">
            <code className="foreign">{delivery.artifact}</code>
          </Fact>
        )}
        <Fact name="Event ID">
          <EventId id={delivery.event_id} />
        </Fact>
        <Fact name="Address">
          {delivery.address ? (
            <code className="foreign">{delivery.address}</code>
          ) : (
            <Text size="sm" c="dimmed">
              The webhook has this endpoint no more.
            </Text>
          )}
        </Fact>
        <Fact name="Created">
          <Time at={delivery.created_at} />
        </Fact>
        {delivery.ended_at && (
          <Fact name="Ended">
            <Time at={delivery.ended_at} />
          </Fact>
        )}
        {isWaiting(delivery) && !delivery.suspended && !delivery.webhook_paused && (
          <Fact name="Next try">
            <NextTry at={delivery.next_try_at} />
          </Fact>
        )}
        {delivery.waits_for !== undefined && (
          <Fact name="Strict order">It goes out when delivery {delivery.waits_for} has ended.</Fact>
        )}
        {isWaiting(delivery) && delivery.lane && <Receiver lane={delivery.lane} />}
        {lastAnswer && (
          <Fact name="Last answer">
            <span className="foreign">{lastAnswer}</span>
          </Fact>
        )}
      </Facts>
    </>
  );
}
