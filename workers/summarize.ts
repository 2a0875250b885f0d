import { renderReport, type ReportInput } from "../src/core/report.ts";
import type { Acted, DecisionSummary, StageJob } from "../queues/jobs.ts";
import type { StageOutput } from "./stage.ts";

/** Tells the decision: the report, and every figure of it as one object. Pure: told again, it is the same. */
export function createSummarize({ timeZone }: { timeZone: string }) {
  return (job: StageJob, acted: Acted): StageOutput<DecisionSummary> => {
    const { evidence, verdict, recording } = acted;
    const report = renderReport(toReportInput(job, acted, timeZone));
    const result: DecisionSummary = {
      runId: job.runId,
      model: job.model,
      decision: recording.outcome === "recorded" ? recording.decision : "superseded",
      reason: verdict.reason,
      bufferSize: evidence.buffer.size,
      driftScore: verdict.driftScore,
      feature: verdict.feature,
      criteria: verdict.criteria,
      dispatch:
        recording.outcome === "recorded" && recording.request
          ? { trainer: recording.trainer, state: recording.dispatch, request: recording.request }
          : null,
      decisionId: recording.outcome === "recorded" ? recording.decisionId : null,
      decidedAt: recording.outcome === "recorded" ? recording.decidedAt : null,
      ...(recording.outcome === "superseded" ? { supersededBy: recording.followUpRunId } : {}),
      report,
    };
    return { result, log: report };
  };
}

/** What act found out, as the report tells it. */
export function toReportInput({ model, runId }: StageJob, acted: Acted, timeZone: string): ReportInput {
  const { evidence, policy, verdict, recording } = acted;
  const isRecorded = recording.outcome === "recorded";
  return {
    model,
    runId,
    evidence,
    policy,
    verdict,
    request: isRecorded ? recording.request : null,
    recorded: isRecorded
      ? {
          id: recording.decisionId,
          decidedAt: recording.decidedAt,
          decision: recording.decision,
          bufferSize: evidence.buffer.size,
          driftScore: verdict.driftScore,
        }
      : null,
    supersededBy: isRecorded ? null : recording.followUpRunId,
    timeZone,
  };
}
