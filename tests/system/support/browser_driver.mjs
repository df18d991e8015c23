// SPDX-License-Identifier: Apache-2.0
// Does in Playwright what support/browser.py writes on standard input, one JSON object a line, one answer a line, in order:
//
//   {"on": HANDLE, "chain": [[NAME, ARGUMENTS or null], ...]}    members are called, or read where ARGUMENTS is null
//   -> {"value": ANYTHING}   or   {"error": WORDS}
//
// HANDLE 0 is Playwright, 1 is `notes` below; other objects get theirs when they are returned, as
// {"$handle": N, "$type": NAME}.
// Arguments may hold {"$chain": [HANDLE, CHAIN]}, {"$regex": [SOURCE, FLAGS]} and {"$function": SOURCE}. Bytes come back as
// {"$bytes": BASE64}. It ends when standard input does, and Chromium with it.
import { createRequire } from "node:module";
import { createInterface } from "node:readline";

const require = createRequire(new URL("../../../portal/package.json", import.meta.url));
const playwright = require("playwright-core");

// Events come between two calls: they are written down, and the test asks for what was noted.
const noted = new Map(); // object -> its notes
const notes = {
  /** From now on, each `event` of the object is noted as {event, ...the named members of what it brings}. */
  take(object, event, members) {
    const list = noted.get(object) ?? [];
    noted.set(object, list);
    object.on(event, (what) => {
      const read = (name) => (typeof what[name] === "function" ? what[name]() : what[name]);
      list.push({ event, ...Object.fromEntries(members.map((name) => [name, read(name)])) });
    });
  },
  of: (object) => noted.get(object) ?? [],
  forget: (object) => void noted.delete(object),
};

// Locators are chains and take no place here: a test adds its context, its pages and little else.
const objects = [playwright, notes];

async function decoded(value) {
  if (Array.isArray(value)) return Promise.all(value.map(decoded));
  if (value === null || typeof value !== "object") return value;
  if (value.$chain) return follow(...value.$chain);
  if (value.$regex) return new RegExp(...value.$regex);
  if (value.$function) return (0, eval)(`(${value.$function})`); // of the test itself; Playwright sends it to the page
  const entries = Object.entries(value).map(async ([key, member]) => [key, await decoded(member)]);
  return Object.fromEntries(await Promise.all(entries));
}

function encoded(value) {
  if (value === undefined || value === null || typeof value !== "object") return value ?? null;
  if (Buffer.isBuffer(value)) return { $bytes: value.toString("base64") };
  if (Array.isArray(value)) return value.map(encoded);
  const prototype = Object.getPrototypeOf(value);
  if (prototype === Object.prototype || prototype === null)
    return Object.fromEntries(Object.entries(value).map(([key, member]) => [key, encoded(member)]));
  return { $handle: objects.push(value) - 1, $type: value.constructor.name };
}

async function follow(handle, chain) {
  let value = objects[handle];
  for (const [name, given] of chain) {
    if (value[name] === undefined) throw new Error(`${value.constructor.name} has no ${name}`);
    value = given === null ? value[name] : await value[name](...(await decoded(given)));
  }
  return value;
}

function words(error) {
  const text = error instanceof Error ? error.message : String(error);
  return text.replace(/\u001b\[[0-9;]*m/g, ""); // Playwright's call log is coloured
}

for await (const line of createInterface({ input: process.stdin, crlfDelay: Infinity })) {
  const { on, chain } = JSON.parse(line);
  let answer;
  try {
    answer = { value: encoded(await follow(on, chain)) };
  } catch (error) {
    answer = { error: words(error) };
  }
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
process.exit(); // Playwright ends its browsers then
