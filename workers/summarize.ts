import type { ReportInput } from "../src/core/report/report.ts";
import { summarizeDecision, type DecisionSummary } from "../src/core/report/decision-summary.ts";
import type { Acted, StageJob } from "../queues/jobs.ts";
import type { StageOutput } from "./stage.ts";

export interface ReportSettings {
  timeZone: string;
  /** Names the setting that holds a model's minBufferSize. */
  nameBufferSetting: (model: string) => string;
}

/** Summarizes the decision: the report, and every figure of it as one object. Pure. */
export function createSummarize({ timeZone, nameBufferSetting }: ReportSettings) {
  return (job: StageJob, acted: Acted): StageOutput<DecisionSummary> => {
    const { recording } = acted;
    const result = summarizeDecision(
      toReportInput(job, acted, { timeZone, nameBufferSetting }),
      recording.outcome === "recorded" ? recording.decision : "superseded",
    );
    return { result, log: result.report, endsRun: true };
  };
}

/** The result of act as the input of the report. */
export function toReportInput(
  { model, runId }: StageJob,
  acted: Acted,
  { timeZone, nameBufferSetting }: ReportSettings,
): ReportInput {
  const { evidence, policy, verdict, recording } = acted;
  const minBufferSizeSetting = nameBufferSetting(model);
  const shared = { model, runId, evidence, policy, minBufferSizeSetting, verdict, timeZone };
  if (recording.outcome === "superseded") {
    const { followUpRunId: by, because } = recording;
    return { ...shared, request: null, dispatch: null, recorded: null, superseded: { by, because } };
  }
  const { decisionId: id, decidedAt, decision, request, trainer, dispatch } = recording;
  return {
    ...shared,
    request,
    dispatch: dispatch && { trainer, ...dispatch },
    recorded: {
      id,
      decidedAt,
      decision,
      bufferSize: evidence.buffer.size,
      driftScore: verdict.driftScore,
      nextLookAt: verdict.nextLookAt,
    },
    superseded: null,
  };
}
