import { z } from "zod";

/** One setting: how it is named, parsed and documented. */
export interface Setting<S extends z.ZodType = z.ZodType> {
  /** Its environment variable. */
  variable: string;
  /** Its key in the YAML file, if each model may have its own value. */
  modelKey?: string;
  /** Parses what a user writes, and what was parsed before (a policy that was stored as JSON). */
  schema: S;
  /** The default, as a user would write it in the environment. */
  default?: string;
  /** Completes "TRAINER=webhook needs ..." if its owner cannot do without it. */
  required?: string;
  /** For the settings table, as Markdown. */
  meaning: string;
  /**
   * What must never be shown: the whole value, or the login in a URL. "hidden": it is only left out of messages about its own
   * faults, because people may have put a secret there.
   */
  secret?: "value" | "login" | "hidden";
}

/** The settings of one part of the program, by the names that its code uses. */
export type Settings = Readonly<Record<string, Setting>>;

/** The values of settings: those without a default that are not required may be undefined. */
export type ValuesOf<S extends Settings> = {
  [K in keyof S]: S[K] extends { default: string } | { required: string }
    ? z.infer<S[K]["schema"]>
    : z.infer<S[K]["schema"]> | undefined;
};

/** A whole number as a number or as decimal digits. */
export function wholeNumber(least: number, most = Number.MAX_SAFE_INTEGER) {
  const error = `must be a whole number from ${least} to ${most}`;
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
    .refine((value) => Number.isSafeInteger(value) && value >= least && value <= most, { error });
}

/** A boolean, or `on` or `off`. */
export const onOff = z.union([z.boolean(), z.enum(["on", "off"]).transform((text) => text === "on")], {
  error: "must be on or off",
});
