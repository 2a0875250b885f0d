import { z } from "zod";
import type { Check, CheckSettings } from "./check.ts";
import { CRITERIA } from "./criteria/registry.ts";
import { GUARDS } from "./guards/registry.ts";
import type { ValuesOf } from "./setting.ts";

type Merged<Union> = (Union extends unknown ? (member: Union) => void : never) extends (
  merged: infer Intersection,
) => void
  ? Intersection
  : never;

type PolicySettings = Merged<((typeof CRITERIA)[number] | (typeof GUARDS)[number])["settings"]>;

/** Every criterion and guard. */
export const CHECKS: readonly Check[] = [...CRITERIA, ...GUARDS];

/** The settings of all checks, by their keys in the policy. */
export const POLICY_SETTINGS: CheckSettings = Object.assign({}, ...CHECKS.map(({ settings }) => settings));

/** The thresholds and switches by which one model's evidence is evaluated: the settings of all checks. */
export type Policy = ValuesOf<PolicySettings>;

export const Policy = z.strictObject(
  Object.fromEntries(
    Object.entries(POLICY_SETTINGS).map(([key, { schema, default: text }]) => [
      key,
      // A policy that an earlier version stored may lack it.
      schema.default(schema.parse(text)),
    ]),
  ),
) as unknown as z.ZodType<Policy>;
