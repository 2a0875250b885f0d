import { deriveFigures, reasonsOf } from "../decision-content.ts";
import { isMock } from "../dispatch/dispatch.ts";
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
  return { ...deriveOutcome(verdict, trainer), ...deriveFigures(evidence, verdict) };
}

/** Those of them that every version of the evaluator must reach. */
export function deriveOutcome(
  verdict: Pick<Verdict, "decision" | "reason"> & { failed: readonly string[] },
  trainer: string | null,
): Partial<RecordedContent> {
  const { decision } = verdict;
  return {
    decision: decision === "trigger" && isMock(trainer ?? "") ? "trigger_mock" : decision,
    ...reasonsOf(verdict),
  };
}
