import { z } from "zod";
import { findNearest } from "./nearest.ts";

/** One setting of a criterion or guard, as the YAML file has it. */
export interface Field<S extends z.ZodType = z.ZodType> {
  /** Parses what a user writes, and its own output. Its messages begin with "expected". */
  schema: S;
  /** As a user would write it; a field without one must be given, unless it is optional. */
  default?: z.input<S>;
  optional?: true;
  /** A sentence for the documentation. */
  meaning: string;
}

export type Fields = Readonly<Record<string, Field>>;

/** The parsed values of fields. */
export type FieldValues<F extends Fields> = {
  [K in keyof F]: F[K] extends { optional: true }
    ? z.infer<F[K]["schema"]> | undefined
    : z.infer<F[K]["schema"]>;
};

/** A fault in what a user wrote: where, and what was expected instead. */
export interface Fault {
  path: readonly (string | number)[];
  /** Begins with "expected" if `value` is wrong in itself. */
  message: string;
  /** What was written there; absent if something is missing. */
  value?: unknown;
}

/** What of a criterion or guard its settings are parsed by. */
export interface FieldOwner {
  key: string;
  fields: Fields;
  /** The field that a plain value stands for: `maxAge: 60d` is `maxAge: { is: 60d }`. */
  shorthand?: string;
  /** Contradictions that the fields do not show by themselves. */
  findFaults?(settings: Record<string, unknown>): Pick<Fault, "message" | "path">[];
}

/** Parses the settings of a criterion or guard. Adds to `faults` what is wrong; the result is usable only if nothing is. */
export function parseFields(
  owner: FieldOwner,
  value: unknown,
  path: Fault["path"],
  faults: Fault[],
): Record<string, unknown> {
  const own: Fault[] = [];
  const settings = parseEach(owner, value, path, own);
  if (own.length === 0)
    for (const fault of owner.findFaults?.(settings) ?? [])
      own.push({ ...fault, path: [...path, ...fault.path] });
  faults.push(...own);
  return settings;
}

/** Parses each field by itself. */
function parseEach(
  { key, fields, shorthand }: FieldOwner,
  value: unknown,
  path: Fault["path"],
  faults: Fault[],
): Record<string, unknown> {
  const isMapping = isRecord(value);
  if (!isMapping && value !== undefined && shorthand === undefined) {
    faults.push({ path, message: `expected a mapping with ${listNames(Object.keys(fields))}`, value });
    return {};
  }
  const given = isMapping ? value : value === undefined ? {} : { [shorthand ?? ""]: value };
  for (const name of Object.keys(given)) {
    if (Object.hasOwn(fields, name)) continue;
    faults.push({
      path: [...path, name],
      message: describeUnknown(`a setting of ${key}`, name, Object.keys(fields)),
    });
  }
  return Object.fromEntries(
    Object.entries(fields).flatMap(([name, field]) => {
      const own = given[name] ?? field.default;
      if (own === undefined) {
        if (!field.optional) faults.push({ path, message: `the setting "${name}" is missing` });
        return [];
      }
      const parsed = field.schema.safeParse(own);
      if (parsed.success) return [[name, parsed.data]];
      const at = isMapping ? [...path, name] : path;
      for (const issue of parsed.error.issues.slice(0, 5))
        faults.push({
          path: [...at, ...issue.path.map((part) => (typeof part === "symbol" ? String(part) : part))],
          message: issue.message,
          value: valueAt(own, issue.path),
        });
      return [];
    }),
  );
}

function valueAt(value: unknown, path: readonly PropertyKey[]): unknown {
  return path.reduce<unknown>(
    (part, key) =>
      typeof part === "object" && part !== null ? (part as Record<PropertyKey, unknown>)[key] : undefined,
    value,
  );
}

/** `"bufersize" is not a criterion: did you mean bufferSize?` */
export function describeUnknown(what: string, name: string, known: readonly string[]): string {
  const nearest = findNearest(name, known);
  const remedy = nearest === undefined ? `it is one of ${known.join(", ")}` : `did you mean ${nearest}?`;
  return `"${name}" is not ${what}: ${remedy}`;
}

function listNames(names: readonly string[]): string {
  return names.length > 1 ? `${names.slice(0, -1).join(", ")} and ${names.at(-1)}` : (names[0] ?? "");
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** A whole number within limits. */
export function whole(min: number, max = Number.MAX_SAFE_INTEGER) {
  const limits = max === Number.MAX_SAFE_INTEGER ? `of at least ${min}` : `from ${min} to ${max}`;
  return z
    .number({ error: "expected a whole number" })
    .refine((value) => Number.isSafeInteger(value), { error: "expected a whole number", abort: true })
    .refine((value) => value >= min && value <= max, { error: `expected a whole number ${limits}` })
    .meta({ type: "integer", minimum: min, maximum: max });
}

/** A number above `above` and at most `max`. */
export function figure({ above, max = 1e9 }: { above: number; max?: number }) {
  return z
    .number({ error: "expected a number" })
    .refine((value) => value > above && value <= max, {
      error: `expected a number above ${above}${max === 1e9 ? "" : `, at most ${max}`}`,
    })
    .meta({ exclusiveMinimum: above, maximum: max });
}

/** Names of features, as the source has them. */
export const featureNames = z
  .array(z.string({ error: "expected the name of a feature" }).min(1, "expected the name of a feature"), {
    error: "expected a list of features such as [ks, mean]",
  })
  .min(1, "expected at least one feature")
  .max(200, "expected at most 200 features")
  .refine((names) => new Set(names).size === names.length, { error: "expected each feature once" });
