import type { DecisionSummary } from "../queues/jobs.ts";
import { renderReport, type ReportInput } from "./core/report.ts";

/** A decision as one object that includes its report: of a recorded, a superseded or a dry run. */
export function summarizeDecision(
  input: ReportInput,
  decision: DecisionSummary["decision"],
): DecisionSummary {
  const { runId, model, evidence, verdict, recorded, request, dispatch, superseded } = input;
  return {
    runId,
    model,
    decision,
    reason: verdict.reason,
    bufferSize: evidence.buffer.size,
    driftScore: verdict.driftScore,
    feature: verdict.feature,
    criteria: verdict.criteria,
    dispatch: dispatch && request && { ...dispatch, request },
    decisionId: recorded?.id ?? null,
    decidedAt: recorded?.decidedAt ?? null,
    nextLookAt: verdict.nextLookAt,
    ...(superseded === null ? {} : { supersededBy: superseded.by }),
    report: renderReport(input),
  };
}
