import { z } from "zod";
import { CheckResult } from "./check.ts";
import { ConditionResult } from "./condition.ts";
import { EVALUATOR_VERSION } from "./evaluator-version.ts";
import type { Evidence } from "./evidence.ts";
import { explain } from "./explain/explain.ts";
import { Explanation } from "./explain/explanation.ts";
import { judge, type Judgement, NoActionReason } from "./judge.ts";
import { asTrained } from "./explain/levers.ts";
import type { Policy } from "./policy.ts";

export const Verdict = z.object({
  decision: z.enum(["trigger", "no_action"]),
  /** What carried a trigger, `drift_detected` if drift was part of it; else the codes of the failed checks, comma-separated. */
  reason: z.string(),
  /** Every criterion of the condition, in order. */
  criteria: z.array(CheckResult),
  /** The condition, with the result of every criterion and combination; null from a version that had none. */
  condition: ConditionResult.nullable().default(null),
  guards: z.array(CheckResult).default([]),
  failed: z.array(NoActionReason),
  /** Who forced the decision past its guards, and why. */
  forced: z.object({ by: z.string(), reason: z.string() }).nullable().default(null),
  /** Score of the newest triggered alert; null for `no_action`, and if the alert has none. */
  driftScore: z.number().nullable(),
  /** Feature of the newest triggered alert; null for `no_action`, and if the alert has none. */
  feature: z.string().nullable(),
  /**
   * The earliest instant (ISO 8601, the database's clock) at which a failed check could pass through time alone, whatever
   * the other checks say, or at which an expected drift run will be missing; of a trigger, also at which time alone could call
   * for another training. Null if time alone changes nothing.
   */
  nextLookAt: z.string().nullable().default(null),
  /** What would turn the verdict, and what did not count. */
  explanation: Explanation.nullable().default(null),
  /** The version of the evaluator; null from a version that did not say so. */
  evaluator: z.int().nullable().default(null),
});
export type Verdict = z.infer<typeof Verdict>;

/**
 * Evaluates evidence against a policy: `trigger` if the condition holds and no guard objects, and what would turn that. Pure:
 * the same evidence and policy always give the same verdict.
 */
export function evaluate(evidence: Evidence, policy: Policy): Verdict {
  const judgement = decide(evidence, policy);
  return { ...judgement, explanation: explain(evidence, policy, judgement), evaluator: EVALUATOR_VERSION };
}

/** The verdict of `evaluate` without its explanation, the search for which takes most of the time. */
export function decide(evidence: Evidence, policy: Policy): Judgement {
  const judgement = judge(evidence, policy);
  if (judgement.decision === "no_action") return judgement;
  const nextLookAt = findEarliest([judgement.nextLookAt, ...listNextCalls(evidence, policy)]);
  return { ...judgement, nextLookAt };
}

/**
 * When time alone could call for another training after this one, such as the maximum age. Counted as if this training
 * succeeded at once, so that no look is too late; a failed one is re-evaluated when it ends.
 */
function listNextCalls(evidence: Evidence, policy: Policy): string[] {
  return judge(asTrained(evidence), policy).criteria.flatMap(({ passed, nextLookAt }) =>
    passed || nextLookAt === undefined ? [] : [nextLookAt],
  );
}

function findEarliest(times: readonly (string | null)[]): string | null {
  const known = times.filter((time) => time !== null);
  return known.toSorted((a, b) => Date.parse(a) - Date.parse(b))[0] ?? null;
}
