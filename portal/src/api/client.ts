// SPDX-License-Identifier: Apache-2.0
// The API client, typed by api/openapi.yaml. Adds the CSRF token to unsafe calls and turns Harbor's error bodies into
// ApiError.
import createClient from "openapi-fetch";

import { basePath } from "../base";
import type { components, paths } from "./schema";

export type Schemas = components["schemas"];

const CSRF_HEADER = "X-Harbor-CSRF-Token";
const CSRF_WORDS = "CSRF token invalid";
const SAFE_METHODS = ["GET", "HEAD", "OPTIONS"];

/** What the server said when it refused: its words are meant for people. */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
    readonly requestId: string | null,
  ) {
    super(message);
    this.name = "ApiError";
  }
}

/** The server was not reached at all. */
export class NetworkError extends Error {
  constructor() {
    super("The server does not answer. Is it running, and is the network up?");
    this.name = "NetworkError";
  }
}

let csrfToken = "";

async function send(request: Request): Promise<Response> {
  if (!SAFE_METHODS.includes(request.method)) request.headers.set(CSRF_HEADER, csrfToken);
  let response: Response;
  try {
    response = await fetch(request);
  } catch (cause) {
    if (cause instanceof DOMException && cause.name === "AbortError") throw cause;
    throw new NetworkError();
  }
  csrfToken = response.headers.get(CSRF_HEADER) ?? csrfToken;
  return response;
}

/** The token of another tab's login may have replaced ours: the answer 403 carries the right one. */
async function sendTwiceIfStale(request: Request): Promise<Response> {
  const again = request.clone();
  const response = await send(request);
  if (response.status !== 403) return response;
  const words = await response.clone().text();
  return words.includes(CSRF_WORDS) ? send(again) : response;
}

export const client = createClient<paths>({
  baseUrl: window.location.origin + basePath,
  credentials: "same-origin",
  fetch: sendTwiceIfStale,
});

interface Answer<T> {
  data?: T;
  error?: unknown;
  response: Response;
}

function errorOf(error: unknown, response: Response): ApiError {
  const first = (error as Schemas["Errors"] | undefined)?.errors?.[0];
  const words = first?.message ?? (typeof error === "string" && error ? error : response.statusText);
  return new ApiError(
    response.status,
    first?.code ?? "UNKNOWN",
    words || `the server answered ${response.status}`,
    response.headers.get("X-Request-Id"),
  );
}

/** The body of an answer, or its refusal as ApiError. */
export async function dataOf<T>(call: Promise<Answer<T>>): Promise<T> {
  const { data, error, response } = await call;
  if (!response.ok) throw errorOf(error, response);
  return data as T;
}

/** One page of a list and how many there are in all. */
export interface Page<T> {
  rows: T[];
  total: number;
}

/** A list with X-Total-Count. */
export async function pageOf<T>(call: Promise<Answer<T[]>>): Promise<Page<T>> {
  const { data, error, response } = await call;
  if (!response.ok) throw errorOf(error, response);
  return { rows: data ?? [], total: Number(response.headers.get("X-Total-Count") ?? data?.length ?? 0) };
}

/** A body and the ETag that names this state of it. */
export async function taggedOf<T>(call: Promise<Answer<T>>): Promise<{ value: T; etag: string }> {
  const { data, error, response } = await call;
  if (!response.ok) throw errorOf(error, response);
  return { value: data as T, etag: response.headers.get("ETag") ?? "" };
}

/** The number at the end of the Location of what was made. */
export async function createdIdOf(call: Promise<Answer<unknown>>): Promise<number> {
  const { error, response } = await call;
  if (!response.ok) throw errorOf(error, response);
  return Number(response.headers.get("Location")?.split("/").pop());
}
