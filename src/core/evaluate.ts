import { z } from "zod";
import { type Check, CheckResult, runCheck } from "./check.ts";
import { CRITERIA } from "./criteria/registry.ts";
import type { Evidence } from "./evidence.ts";
import { GUARDS } from "./guards/registry.ts";
import type { Policy } from "./policy.ts";

/** A reason why a model is not retrained: the code of a failed check, as in `retraining_decisions.reason`. */
const NoActionReason = z.enum([...CRITERIA, ...GUARDS].map(({ reason }) => reason));

/** The reason of every `trigger`. */
export const TRIGGER_REASON = "drift_detected";

export const Verdict = z.object({
  decision: z.enum(["trigger", "no_action"]),
  /** `drift_detected`, or the codes of the failed checks, comma-separated. */
  reason: z.string(),
  criteria: z.array(CheckResult),
  guards: z.array(CheckResult).default([]),
  failed: z.array(NoActionReason),
  /** Score of the newest triggered alert; null for `no_action`, and if the alert has none. */
  driftScore: z.number().nullable(),
  /** Feature of the newest triggered alert; null for `no_action`, and if the alert has none. */
  feature: z.string().nullable(),
  /**
   * The earliest instant (ISO 8601, the database's clock) at which a failed check could pass through time alone, whatever
   * the other checks say. Null if time alone changes nothing, and for a `trigger`.
   */
  nextLookAt: z.string().nullable().default(null),
});
export type Verdict = z.infer<typeof Verdict>;

/**
 * Evaluates evidence against a policy: `trigger` if every criterion holds and no guard objects. Pure: the same evidence and
 * policy always give the same verdict.
 */
export function evaluate(evidence: Evidence, policy: Policy): Verdict {
  const run = (checks: readonly Check[]): CheckResult[] =>
    checks.map((check) => runCheck(check, evidence, policy));
  const criteria = run(CRITERIA);
  const guards = run(GUARDS);
  const results = [...criteria, ...guards];
  const failed = [...CRITERIA, ...GUARDS]
    .filter((_, index) => results[index]?.passed === false)
    .map(({ reason }) => reason);
  if (failed.length > 0) {
    return {
      decision: "no_action",
      reason: failed.join(","),
      criteria,
      guards,
      failed,
      driftScore: null,
      feature: null,
      nextLookAt: findNextLook(results),
    };
  }
  const newest = evidence.checks.newestTriggered[0];
  return {
    decision: "trigger",
    reason: TRIGGER_REASON,
    criteria,
    guards,
    failed,
    driftScore: newest?.score ?? null,
    feature: newest?.feature ?? null,
    nextLookAt: null,
  };
}

function findNextLook(results: readonly CheckResult[]): string | null {
  const ends = results.flatMap(({ nextLookAt }) =>
    nextLookAt === undefined ? [] : [Date.parse(nextLookAt)],
  );
  return ends.length === 0 ? null : new Date(Math.min(...ends)).toISOString();
}
