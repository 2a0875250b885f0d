import type { Acted, StageJob } from "../../queues/jobs.ts";
import type { ReportInput } from "../core/report/input.ts";
import { pageOf } from "../outgoing/page-links.ts";

/** What a report needs besides the result of act. */
export interface ReportSettings {
  timeZone: string;
  /** Where people reach the pages; absent if the settings do not say. */
  publicUrl: string | undefined;
  /** The user's names for the policy settings of a model; empty for a model that was removed from the settings. */
  settingNamesOf(model: string): ReportInput["settingNames"];
}

/** Turns the result of act into the input of the report. */
export function toReportInput(
  { model, runId }: StageJob,
  { evidence, policy, verdict, recording }: Acted,
  { timeZone, publicUrl, settingNamesOf }: ReportSettings,
): ReportInput {
  const shared = { model, runId, evidence, policy, settingNames: settingNamesOf(model), verdict, timeZone };
  if (recording.outcome === "superseded") {
    const { followUpRunId: by, because } = recording;
    return {
      ...shared,
      page: null,
      request: null,
      dispatch: null,
      recorded: null,
      superseded: { by, because },
    };
  }
  const { decisionId: id, decidedAt, decision, request, trainer, dispatch } = recording;
  return {
    ...shared,
    page: pageOf(publicUrl, { model, decisionId: id }),
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
