import { Acted, Evaluated, Gathered, StageJob } from "../../queues/jobs.ts";
import type { Stage } from "../../queues/names.ts";
import { renderAction } from "../core/report/action.ts";
import { renderCriteria } from "../core/report/criteria.ts";
import { reportOf } from "../core/report/decision-summary.ts";
import { renderFindings } from "../core/report/findings.ts";
import type { ShadowVerdict } from "../core/shadow.ts";
import { type ReportSettings, toReportInput } from "./report-input.ts";

/** A stage's job, as Redis has it. */
export interface StoredStage {
  stage: Stage;
  data: unknown;
  result: unknown;
}

/**
 * What a stage did, as text: its part of the report, rendered when somebody reads it instead of with each run.
 * @returns null if it has not completed, or its run was compacted: then the report has it.
 */
export function renderStageLog(
  { stage, data, result }: StoredStage,
  settings: ReportSettings,
): string | null {
  switch (stage) {
    case "gather": {
      const gathered = Gathered.safeParse(result).data;
      return gathered ? renderFindings({ ...gathered, timeZone: settings.timeZone }) : null;
    }
    case "evaluate": {
      const evaluated = Evaluated.safeParse(result).data;
      if (!evaluated) return null;
      const { shadow } = evaluated;
      return [renderCriteria(evaluated), ...(shadow === null ? [] : [describeShadow(shadow)])].join("\n");
    }
    case "act": {
      const [job, acted] = [StageJob.safeParse(data).data, Acted.safeParse(result).data];
      return job && acted ? renderAction(toReportInput(job, acted, settings)) : null;
    }
    case "summarize":
      return reportOf(result);
    default:
      return stage satisfies never;
  }
}

function describeShadow({ decision, why }: ShadowVerdict): string {
  return `👥 The shadow policy says ${decision}: ${why}. Nothing follows from it`;
}
