import { z } from "zod";
import { computeDriftRatio } from "./drift-ratio.ts";
import type { Verdict } from "./evaluate.ts";
import type { Evidence } from "./evidence.ts";
import type { Policy } from "./policy.ts";
import { toRecordedPolicy } from "./recorded-policy.ts";
import type { ShadowVerdict } from "./shadow.ts";

/** What a decision is recorded from. */
export interface Decided {
  runId: string;
  model: string;
  cause: string;
  /** As in `retraining_decisions.decision`. */
  decision: string;
  notes: string;
  trainer: string;
  evidence: Evidence;
  policy: Policy;
  policyHash: string;
  verdict: Verdict;
  shadow: ShadowVerdict | null;
}

/**
 * The content of a decision: what the row's hash covers. A JSON object; `retrigger verify` reads the same from the row. The id, the
 * date and the previous decision's hash are known only in the database, which hashes them together with this one's hash.
 */
export function contentOf({ evidence, policy, verdict, shadow, ...decided }: Decided) {
  return {
    runId: decided.runId,
    model: decided.model,
    cause: decided.cause,
    decision: decided.decision,
    ...reasonsOf(verdict),
    ...deriveFigures(evidence, verdict),
    notes: decided.notes,
    trainer: decided.trainer,
    evidence,
    policy: toRecordedPolicy(policy),
    policyHash: decided.policyHash,
    // During an upgrade, a worker of another version may have reached the verdict.
    evaluator: verdict.evaluator,
    shadow,
  };
}
export type DecisionContent = ReturnType<typeof contentOf>;

/** Why a decision was made, as it is recorded. */
export function reasonsOf({ reason, failed }: { reason: string; failed: readonly string[] }) {
  return { reason, reasonCodes: failed.length > 0 ? failed : [reason] };
}

/** What else is recorded of a decision that follows from its evidence and verdict. */
export function deriveFigures(evidence: Evidence, verdict: Verdict) {
  return {
    bufferSize: evidence.buffer.size,
    driftScore: verdict.driftScore,
    driftRatio: computeDriftRatio(evidence),
    criteria: verdict.criteria,
    alertIds: evidence.alerts.ids,
    /** The model's last decision that the evidence saw; null for none. */
    previousId: evidence.lastDecisions[0]?.id ?? null,
    nextLookAt: verdict.nextLookAt,
    newestAlertAt: findNewestAlertTime(evidence),
    explanation: verdict.explanation,
    forced: verdict.forced,
  };
}

/** The part of the evidence that says when the newest check of the decision was. */
export const AlertTimes = z.object({
  alerts: z.object({ ids: z.array(z.string()) }),
  weighed: z
    .array(z.object({ id: z.string(), at: z.string() }))
    .nullable()
    .default(null),
  checks: z.object({ newestTriggered: z.array(z.object({ checkedAt: z.string() })) }),
});
type AlertTimes = z.infer<typeof AlertTimes>;

/** The time of the newest check that the decision records. */
export function findNewestAlertTime({ alerts, weighed, checks }: AlertTimes): string | null {
  const newest = weighed?.find(({ id }) => id === alerts.ids[0]);
  return newest?.at ?? checks.newestTriggered[0]?.checkedAt ?? null;
}
