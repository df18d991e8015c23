// SPDX-License-Identifier: Apache-2.0
// States and outcomes in plain words, for the list of deliveries and for one of them.
import type { Attempt, Delivery, DeliveryRow } from "../../api/deliveries";
import type { StateKind } from "../../components/StateMark";

export function isWaiting(delivery: Pick<Delivery, "status">): boolean {
  return delivery.status === "Running";
}

const KINDS: Record<Delivery["status"], StateKind> = {
  Running: "busy",
  Success: "good",
  Error: "bad",
  Stopped: "idle",
};

export function stateKind(delivery: Pick<Delivery, "status">): StateKind {
  return KINDS[delivery.status];
}

/** `attempts`: how many there were. */
export function stateWords(delivery: Pick<Delivery, "status">, attempts: number): string {
  if (!isWaiting(delivery)) return delivery.status;
  return attempts === 0 ? "Waits for its turn" : `Waits for try ${attempts + 1}`;
}

const OUTCOMES: Record<Attempt["outcome"], string> = {
  success: "Delivered",
  http_error: "Refused by the receiver",
  dns: "Name not found",
  blocked: "Address not allowed",
  connect: "No connection",
  tls: "No TLS connection",
  timeout: "Timed out",
  closed: "Connection closed",
  malformed: "Answer not understood",
};

export function outcomeWords(outcome: Attempt["outcome"]): string {
  return OUTCOMES[outcome];
}

/** What came back last, if anything did. */
export function answerWords(row: Pick<DeliveryRow, "last_status" | "last_error">): string {
  return row.last_error ?? (row.last_status === undefined ? "" : String(row.last_status));
}
