import { type Fault, isRecord } from "../core/fields.ts";
import { parsePolicy, type Policy } from "../core/policy.ts";
import type { Layer, ShadowLayer } from "./layer.ts";

/**
 * Parses `shadow`: a policy that takes what it leaves out from the model's own. One that stands in `defaults` is completed by
 * the policy of each model. `off`, or nothing behind the colon, switches it off. Adds to `faults` what is wrong.
 */
export function parseShadow(
  given: unknown,
  inherited: Layer["shadow"],
  policy: Policy,
  path: Fault["path"],
  faults: Fault[],
): ShadowLayer | null {
  if (given === undefined) return inherited && { ...inherited, policy: complete(inherited, policy, []) };
  if (given === null || given === "off" || given === false) return null;
  const isEmpty = isRecord(given) && Object.keys(given).length === 0;
  if (!isRecord(given) || isEmpty) {
    faults.push({
      path,
      message: `expected when or guards that differ from the policy, or off`,
      value: given,
    });
    return null;
  }
  // Contradictions are looked for only in a policy that is right otherwise.
  const own: Fault[] = [];
  const shadow = complete({ given, path }, policy, own);
  faults.push(...own);
  return own.length > 0 ? null : { given, path, policy: shadow };
}

function complete({ given, path }: Omit<ShadowLayer, "policy">, policy: Policy, faults: Fault[]): Policy {
  return parsePolicy(given, policy, path, faults);
}
