import type { Acted, StageJob } from "../queues/jobs.ts";
import { type DecisionSummary, summarizeDecision } from "../src/core/report/decision-summary.ts";
import { type ReportSettings, toReportInput } from "../src/use-cases/report-input.ts";
import type { StageLine, StageOutput } from "./stage.ts";

/** Summarizes the decision: the report, and all its figures as one object. */
export function createSummarize(settings: ReportSettings) {
  return (job: StageJob, acted: Acted): StageOutput<DecisionSummary> => {
    const { recording } = acted;
    const result = summarizeDecision(
      toReportInput(job, acted, settings),
      recording.outcome === "recorded" ? recording.decision : "superseded",
    );
    const output = { kind: "done", result, endsRun: true } as const;
    return recording.outcome === "recorded" ? { ...output, line: toLine(result) } : output;
  };
}

function toLine({ decision, reason, decisionId, dispatch }: DecisionSummary): StageLine {
  const { state: training, error } = dispatch ?? {};
  return {
    message: "decided",
    fields: { decision, reason, decisionId, ...(dispatch && { training, ...(error && { error }) }) },
  };
}
