import type { z } from "zod";
import { describeUnknown, type Fault, type Fields, isRecord } from "../core/fields.ts";
import { inPlainWords } from "../settings/schemas.ts";

/** The keys of a mapping in the YAML file. */
export interface FieldSet {
  /** Completes "... is not": "a setting of source.checks". */
  what: string;
  fields: Fields;
  nested?: Readonly<Record<string, FieldSet & { meaning: string }>>;
}

/** Parses the keys that a user wrote; what was left out stays left out. Adds to `faults` what is wrong. */
export function parseGiven(
  set: FieldSet,
  value: unknown,
  path: Fault["path"],
  faults: Fault[],
): Record<string, unknown> {
  if (value === undefined || value === null) return {};
  const { what, fields, nested = {} } = set;
  const known = [...Object.keys(fields), ...Object.keys(nested)];
  if (!isRecord(value)) {
    faults.push({ path, message: `expected a mapping with ${known.join(", ")}`, value });
    return {};
  }
  const given: Record<string, unknown> = {};
  for (const [key, own] of Object.entries(value)) {
    const at = [...path, key];
    const inner = Object.hasOwn(nested, key) ? nested[key] : undefined;
    const field = Object.hasOwn(fields, key) ? fields[key] : undefined;
    if (inner) given[key] = parseGiven(inner, own, at, faults);
    else if (field) given[key] = parseWith(field.schema, own, at, faults);
    else faults.push({ path: at, message: describeUnknown(what, key, known) });
  }
  return given;
}

/** Parses one value. `isShown` is false for a value that may hold a secret. */
export function parseWith(
  schema: z.ZodType,
  value: unknown,
  path: Fault["path"],
  faults: Fault[],
  { isShown = true } = {},
): unknown {
  const parsed = schema.safeParse(value, { error: inPlainWords });
  if (parsed.success) return parsed.data;
  for (const { path: inner, message } of parsed.error.issues.slice(0, 5)) {
    const at = inner.map((part) => (typeof part === "symbol" ? String(part) : part));
    const fault = { path: [...path, ...at], message: toExpected(message) };
    faults.push(isShown ? { ...fault, value: valueAt(value, inner) } : fault);
  }
  return undefined;
}

/** Variables are faulted by what they "must be", keys by what was "expected". */
function toExpected(message: string): string {
  return message
    .replace(/^must (be|have) /, "expected ")
    .replace(/^must not /, "expected not to ")
    .replace(/^must /, "expected to ");
}

function valueAt(value: unknown, path: readonly PropertyKey[]): unknown {
  return path.reduce<unknown>(
    (part, key) =>
      typeof part === "object" && part !== null ? (part as Record<PropertyKey, unknown>)[key] : undefined,
    value,
  );
}
