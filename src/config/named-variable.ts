import type { Fault } from "../core/fields.ts";
import { findNearest } from "../core/nearest.ts";

/** The variables of the environment, and which of them the file names. */
export interface Variables {
  env: Readonly<Record<string, string | undefined>>;
  named: Set<string>;
}

/**
 * Reads the variable that the file names in place of a secret. Never repeats what is written there unless it can only be the
 * name of a variable.
 */
export function readVariable(
  value: unknown,
  example: string,
  path: Fault["path"],
  faults: Fault[],
  { env, named }: Variables,
): { variable: string; text: string } | null {
  if (typeof value !== "string" || !/^[A-Za-z_][A-Za-z0-9_]*$/.test(value)) {
    faults.push({
      path,
      message: `expected the name of a variable that holds it, such as ${example}: secrets stay out of this file`,
    });
    return null;
  }
  named.add(value);
  const text = env[value];
  if (text !== undefined && text.trim() !== "") return { variable: value, text };
  const isName = /^[A-Z][A-Z0-9]*(_[A-Z0-9]+)+$/.test(value);
  const near = findNearest(value, Object.keys(env));
  const hint =
    isName && near !== undefined && near !== value ? `did you mean ${near}?` : `set it, or name another one`;
  faults.push({
    path,
    message: isName
      ? `the variable ${value} is not set: ${hint}`
      : `expected the name of a variable that is set, such as ${example}: secrets stay out of this file`,
  });
  return null;
}
