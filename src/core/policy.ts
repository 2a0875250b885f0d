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

/** The thresholds and switches for one model's evidence: the settings of all checks. */
export type Policy = ValuesOf<PolicySettings>;

export const Policy = z.strictObject(
  Object.fromEntries(
    Object.entries(POLICY_SETTINGS).map(([key, { schema, default: text }]) => [
      key,
      // A policy stored by an earlier version may lack the setting.
      schema.default(schema.parse(text)),
    ]),
  ),
) as unknown as z.ZodType<Policy>;
