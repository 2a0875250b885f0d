import type { DecisionSummary } from "../queues/jobs.ts";
import { renderReport, type ReportInput } from "./core/report.ts";

/** A decision as one object, its report with it: of a run that recorded, was superseded, or only tried (a dry run). */
export function summarizeDecision(
  input: ReportInput,
  { decision, dispatch }: Pick<DecisionSummary, "decision" | "dispatch">,
): DecisionSummary {
  const { runId, model, evidence, verdict, recorded, supersededBy } = input;
  return {
    runId,
    model,
    decision,
    reason: verdict.reason,
    bufferSize: evidence.buffer.size,
    driftScore: verdict.driftScore,
    feature: verdict.feature,
    criteria: verdict.criteria,
    dispatch,
    decisionId: recorded?.id ?? null,
    decidedAt: recorded?.decidedAt ?? null,
    ...(supersededBy === null ? {} : { supersededBy }),
    report: renderReport(input),
  };
}
