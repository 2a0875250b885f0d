import type { Acted, StageJob } from "../queues/jobs.ts";
import type { ReportInput } from "../src/core/report/input.ts";

/** What a report needs beside the result of act. */
export interface ReportSettings {
  timeZone: string;
  /** How the user named the policy settings of a model; empty for a model that was removed from the settings. */
  settingNamesOf(model: string): ReportInput["settingNames"];
}

/** The result of act as the input of the report. */
export function toReportInput(
  { model, runId }: StageJob,
  { evidence, policy, verdict, recording }: Acted,
  { timeZone, settingNamesOf }: ReportSettings,
): ReportInput {
  const shared = { model, runId, evidence, policy, settingNames: settingNamesOf(model), verdict, timeZone };
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
