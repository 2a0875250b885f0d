import { z } from "zod";

/** The definition of a setting: its names, parser and documentation. */
export interface Setting<S extends z.ZodType = z.ZodType> {
  /** Its environment variable. */
  variable: string;
  /** Parses what a user writes, and an already parsed value (from a policy stored as JSON). */
  schema: S;
  /** The default, as a user would write it in the environment. */
  default?: string;
  /** Completes "TRAINER=webhook needs ...": the trainer does not work without this setting. */
  required?: string;
  /** For the settings table, as Markdown. */
  meaning: string;
  /**
   * What must never be shown: the whole value, or the login, query and path in a URL. "hidden": only messages about a fault of this setting
   * omit the value, because people may have put a secret there.
   */
  secret?: "value" | "login" | "hidden";
  /** Names variables that a program gets; their values may be secrets. */
  namesVariables?: true;
}

/** The settings of one part of the program, by their names in the code. */
export type Settings = Readonly<Record<string, Setting>>;

/** The values of settings. A setting that has no default and is not required may be undefined. */
export type ValuesOf<S extends Settings> = {
  [K in keyof S]: S[K] extends { default: string } | { required: string }
    ? z.infer<S[K]["schema"]>
    : z.infer<S[K]["schema"]> | undefined;
};

/** A whole number as a number or as decimal digits. */
export function wholeNumber(min: number, max = Number.MAX_SAFE_INTEGER) {
  const error = `must be a whole number from ${min} to ${max}`;
  return z
    .union(
      [
        z.number(),
        z
          .string()
          .regex(/^[+-]?\d+$/)
          .transform(Number),
      ],
      { error },
    )
    .refine((value) => Number.isSafeInteger(value) && value >= min && value <= max, { error });
}

/** A boolean, or `on` or `off`. */
export const onOff = z.union([z.boolean(), z.enum(["on", "off"]).transform((text) => text === "on")], {
  error: "must be on or off",
});
