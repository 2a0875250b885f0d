import { findNewestAlertTime } from "../decision-content.ts";
import { isMock } from "../dispatch/dispatch.ts";
import { computeDriftRatio } from "../drift-ratio.ts";
import type { Verdict } from "../evaluate.ts";
import type { Evidence } from "../evidence.ts";
import type { RecordedContent } from "./content.ts";

/**
 * The fields of a decision that follow from its evidence and policy.
 *
 * @param trainer As recorded with the decision.
 */
export function deriveFields(
  evidence: Evidence,
  verdict: Verdict,
  trainer: string | null,
): Partial<RecordedContent> {
  return {
    ...deriveOutcome(verdict, trainer),
    bufferSize: evidence.buffer.size,
    driftScore: verdict.driftScore,
    driftRatio: computeDriftRatio(evidence),
    criteria: verdict.criteria,
    alertIds: evidence.alerts.ids,
    previousId: evidence.lastDecisions[0]?.id ?? null,
    nextLookAt: verdict.nextLookAt,
    newestAlertAt: findNewestAlertTime(evidence),
    explanation: verdict.explanation,
    forced: verdict.forced,
  };
}

/** Those of them that every version of the evaluator must reach. */
export function deriveOutcome(
  { decision, reason, failed }: Pick<Verdict, "decision" | "reason"> & { failed: readonly string[] },
  trainer: string | null,
): Partial<RecordedContent> {
  return {
    decision: decision === "trigger" && isMock(trainer ?? "") ? "trigger_mock" : decision,
    reason,
    reasonCodes: failed.length > 0 ? failed : [reason],
  };
}
