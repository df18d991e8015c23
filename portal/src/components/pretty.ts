// SPDX-License-Identifier: Apache-2.0
// JSON with line breaks and indentation. Only white space changes: numbers, escapes and repeated keys stay as they were
// sent, which parsing and writing again would not keep.

const INDENT = "  ";
const MAX_DEPTH = 32; // deeper levels are indented no further
const MAX_CHARS = 16 << 20;
const TOKENS = /"(?:[^"\\]|\\.)*"|[{}[\],:]|[^\s{}[\],:"]+/g;

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

/** Could this be a JSON object or array? Cheap, whatever the length. */
export function looksLikeJson(text: string): boolean {
  return /^\s*[{[]/.test(text);
}

/** `undefined` when the text is not JSON, or would grow beyond all measure. */
export function prettyJson(text: string): string | undefined {
  if (!looksLikeJson(text) || !isJson(text)) return undefined;
  let out = "";
  let depth = 0;
  let isFresh = false; // nothing stands between the last bracket and here
  const line = () => "\n" + INDENT.repeat(Math.min(depth, MAX_DEPTH));
  for (const [token] of text.matchAll(TOKENS)) {
    const closes = token === "}" || token === "]";
    if (closes) depth -= 1;
    if (closes ? !isFresh : isFresh) out += line();
    isFresh = token === "{" || token === "[";
    if (isFresh) depth += 1;
    out += token === ":" ? ": " : token === "," ? "," + line() : token;
    if (out.length > MAX_CHARS) return undefined;
  }
  return out;
}
