/**
 * Returns the canonical form (RFC 8785) of a JSON value: the keys of every object sorted, no white space. A field that is
 * undefined is left out.
 *
 * @throws Error for what has no JSON form: undefined itself, NaN, an infinity, a lone surrogate.
 */
export function canonicalJson(value: unknown): string {
  switch (typeof value) {
    case "string":
      return quote(value);
    case "number":
      if (!Number.isFinite(value)) throw new Error(`${value} is not allowed in JSON`);
      return String(value === 0 ? 0 : value);
    case "boolean":
      return String(value);
    case "object":
      if (value === null) return "null";
      return Array.isArray(value) ? listOf(value) : recordOf(value as Record<string, unknown>);
    default:
      throw new Error(`a value of type ${typeof value} has no JSON form`);
  }
}

function listOf(values: readonly unknown[]): string {
  let text = "[";
  for (const [index, value] of values.entries())
    text += (index === 0 ? "" : ",") + canonicalJson(value === undefined ? null : value);
  return `${text}]`;
}

function recordOf(record: Readonly<Record<string, unknown>>): string {
  let text = "{";
  // By default, strings are sorted by their UTF-16 code units, as RFC 8785 says.
  for (const key of Object.keys(record).toSorted()) {
    const value = record[key];
    if (value !== undefined) text += `${text === "{" ? "" : ","}${quoteKey(key)}:${canonicalJson(value)}`;
  }
  return `${text}}`;
}

function quote(text: string): string {
  if (!text.isWellFormed()) throw new Error("a lone surrogate is not allowed in JSON");
  return JSON.stringify(text);
}

/** The few keys of our own objects come again and again. */
function quoteKey(key: string): string {
  const known = quotedKeys.get(key);
  if (known !== undefined) return known;
  const quoted = quote(key);
  if (quotedKeys.size < MAX_KEYS) quotedKeys.set(key, quoted);
  return quoted;
}

const quotedKeys = new Map<string, string>();
const MAX_KEYS = 1_000;
