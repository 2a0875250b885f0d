import type { z } from "zod";
import { PermanentError } from "./errors.ts";

const SHOWN_LENGTH = 80;

/**
 * Parses external input.
 * @throws PermanentError that names each faulty field, its value (shortened) and what it must be.
 */
export function parseInput<T extends z.ZodType>(schema: T, input: unknown, what: string): z.infer<T> {
  const parsed = schema.safeParse(input);
  if (parsed.success) return parsed.data;
  const faults = parsed.error.issues.slice(0, 10).map((issue) => {
    const path = issue.path.map(String);
    const field = path.length > 0 ? path.join(".").slice(0, SHOWN_LENGTH) : `the ${what}`;
    return `${field} is ${showValue(valueAt(input, path))}: ${issue.message.slice(0, 200)}`;
  });
  throw new PermanentError("BAD_INPUT", `Malformed ${what}: ${faults.join("; ")}`);
}

/** The value at a path of object keys and array indices; undefined if there is none. */
export function valueAt(input: unknown, path: readonly string[]): unknown {
  return path.reduce<unknown>(
    (value, key) =>
      typeof value === "object" && value !== null && Object.hasOwn(value, key)
        ? (value as Record<string, unknown>)[key]
        : undefined,
    input,
  );
}

/** A value on one line, shortened. */
export function showValue(value: unknown): string {
  if (value === undefined) return "missing";
  if (Array.isArray(value)) return `an array of ${value.length}`;
  if (typeof value === "object" && value !== null) return "an object";
  if (typeof value !== "string") return JSON.stringify(value);
  const text = JSON.stringify(value.slice(0, SHOWN_LENGTH));
  return value.length > SHOWN_LENGTH ? `${text}… (${value.length} characters)` : text;
}

/** The value of a JSON text; undefined if the text is not JSON. */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
