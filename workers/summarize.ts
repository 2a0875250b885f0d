import type { Acted, StageJob } from "../queues/jobs.ts";
import { type DecisionSummary, summarizeDecision } from "../src/core/report/decision-summary.ts";
import { type ReportSettings, toReportInput } from "./report-input.ts";
import type { StageOutput } from "./stage.ts";

/** Summarizes the decision: the report, and all its figures as one object. */
export function createSummarize(settings: ReportSettings) {
  return (job: StageJob, acted: Acted): StageOutput<DecisionSummary> => {
    const { recording } = acted;
    const result = summarizeDecision(
      toReportInput(job, acted, settings),
      recording.outcome === "recorded" ? recording.decision : "superseded",
    );
    return { kind: "done", result, log: null, endsRun: true };
  };
}
