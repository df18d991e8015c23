// SPDX-License-Identifier: Apache-2.0
// Between a webhook as the API has it and as the form has it; and which field an answer's words belong to.
import { ApiError } from "../../api/client";
import type { EventType, Webhook, WebhookRequest } from "../../api/webhooks";
import { EVENT_TYPES } from "./eventTypes";

/** What stands for a secret that the server keeps; sent back, it stays as it is. */
export const SECRET_MASK = "********";

export interface TargetValues {
  key: string; // of the row in the form
  type: "http" | "slack";
  storedType: "http" | "slack" | undefined; // as the server has it; undefined: a new target
  payloadFormat: "Default" | "CloudEvents";
  address: string;
  authHeader: string;
  verifyCertificate: boolean;
  extras: boolean;
  strictOrder: boolean;
}

export interface WebhookValues {
  name: string;
  description: string;
  eventTypes: string[];
  taggedOnly: boolean;
  targets: TargetValues[];
}

let lastKey = 0;

export function newTarget(): TargetValues {
  return {
    key: `target-${++lastKey}`,
    type: "http",
    storedType: undefined,
    payloadFormat: "Default",
    address: "",
    authHeader: "",
    verifyCertificate: true,
    extras: true,
    strictOrder: false,
  };
}

export function newWebhook(): WebhookValues {
  return {
    name: "",
    description: "",
    eventTypes: EVENT_TYPES.map((one) => one.type),
    taggedOnly: false,
    targets: [newTarget()],
  };
}

export function valuesOf(webhook: Webhook): WebhookValues {
  return {
    name: webhook.name ?? "",
    description: webhook.description ?? "",
    eventTypes: webhook.event_types,
    taggedOnly: webhook.harbinger?.tagged === "only",
    targets: webhook.targets.map((target) => ({
      key: `target-${++lastKey}`,
      type: target.type,
      storedType: target.type,
      payloadFormat: target.payload_format ?? "Default",
      address: target.address,
      authHeader: target.auth_header ?? "",
      verifyCertificate: !target.skip_cert_verify,
      extras: target.harbinger?.extras !== false,
      strictOrder: target.harbinger?.strict_order === true,
    })),
  };
}

// A header that was stored for Slack stays; a new one cannot be given, and one for HTTP does not go along to Slack.
function authHeaderOf(target: TargetValues): string {
  const isKept = target.authHeader === SECRET_MASK && target.type === target.storedType;
  return target.type === "http" || isKept ? target.authHeader : "";
}

export function targetsOf(values: WebhookValues): WebhookRequest["targets"] {
  return values.targets.map((target) => ({
    type: target.type,
    address: target.address.trim(),
    skip_cert_verify: !target.verifyCertificate,
    harbinger: { extras: target.extras, strict_order: target.strictOrder },
    auth_header: authHeaderOf(target),
    payload_format: target.type === "http" ? target.payloadFormat : "",
  }));
}

export function requestOf(values: WebhookValues, enabled: boolean): WebhookRequest {
  return {
    name: values.name.trim(),
    description: values.description,
    enabled,
    event_types: values.eventTypes as EventType[],
    targets: targetsOf(values),
    harbinger: { tagged: values.taggedOnly ? "only" : "any" },
  };
}

/** Held by a person: its deliveries are made and wait. */
export function isPaused(webhook: Webhook) {
  return webhook.harbinger?.paused !== undefined;
}

/** The first target that the server stopped sending to, because its receiver is gone or failed for long. */
export function suspendedTarget(webhook: Webhook) {
  return webhook.targets.find((target) => target.harbinger?.suspended);
}

/** The same webhook, switched on or off. */
export function switchedRequest(webhook: Webhook, enabled: boolean): WebhookRequest {
  return requestOf(valuesOf(webhook), enabled);
}

export function addressError(address: string): string | null {
  if (!address.trim()) return "Endpoint URL is required.";
  return /^https?:\/\//i.test(address.trim()) ? null : "An address begins with http:// or https://.";
}

export interface PlacedErrors {
  /** Words by the form's field: "name", "eventTypes", "targets.0.address" ... */
  fields: Record<string, string>;
  /** What belongs to no field. */
  rest: Error | null;
}

const TARGET_PREFIX = /^targets\[(\d+)\]:\s*/;
const ABOUT_ADDRESS = /\b(url|uri|parse|scheme|host|port|address|userinfo|harbinger egress)\b/i;

function indexOfTarget(words: string, values: WebhookValues): number {
  const named = TARGET_PREFIX.exec(words)?.[1];
  if (named !== undefined) return Number(named);
  const quoted = values.targets.findIndex((target) => words.includes(target.address.trim()));
  return quoted >= 0 ? quoted : 0;
}

/** Where the words of a refusal stand. */
export function placeError(error: Error, values: WebhookValues): PlacedErrors {
  if (!(error instanceof ApiError) || ![400, 409, 422].includes(error.status))
    return { fields: {}, rest: error };
  const words = error.message.replace(TARGET_PREFIX, "");
  if (error.status === 409) return { fields: { name: "Name already exists" }, rest: null };
  if (words.includes("auth_header must be given again")) {
    // The server names no target here: it is one whose stored secret was left as it is.
    const masked = values.targets
      .map((target, index) => ({ target, field: `targets.${index}.authHeader` }))
      .filter(({ target }) => target.authHeader === SECRET_MASK);
    const said =
      "The header must be given again when the address changes, or the certificate is no longer verified.";
    return masked.length > 0
      ? { fields: Object.fromEntries(masked.map(({ field }) => [field, said])), rest: null }
      : { fields: {}, rest: error };
  }
  if (words.includes("auth_header"))
    return { fields: { [`targets.${indexOfTarget(error.message, values)}.authHeader`]: words }, rest: null };
  if (TARGET_PREFIX.test(error.message) || ABOUT_ADDRESS.test(words))
    return { fields: { [`targets.${indexOfTarget(error.message, values)}.address`]: words }, rest: null };
  if (/event type/i.test(words)) return { fields: { eventTypes: words }, rest: null };
  if (/\bname\b/i.test(words)) return { fields: { name: words }, rest: null };
  return { fields: {}, rest: error };
}
