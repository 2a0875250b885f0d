import { z } from "zod";
import { Acted, Evaluated, Gathered, StageJob } from "../../queues/jobs.ts";
import type { Stage } from "../../queues/names.ts";
import { evaluate } from "../core/evaluate.ts";
import type { Evidence } from "../core/evidence.ts";
import type { Policy } from "../core/policy.ts";
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
 * The result of a stage, with what `workers/bullmq/compaction.ts` left to Postgres.
 * @param readBasis Reads what the run's decision was judged by; called only if the run was compacted.
 */
export async function restoreResult(
  result: unknown,
  readBasis: () => Promise<Basis | null>,
): Promise<unknown> {
  if (!Compacted.safeParse(result).success) return result;
  const basis = await readBasis();
  if (basis === null) return null;
  return { ...(result as object), ...basis, verdict: evaluate(basis.evidence, basis.policy) };
}

interface Basis {
  evidence: Evidence;
  policy: Policy;
}

const Compacted = z.object({ decisionId: z.number(), evidence: z.undefined().optional() });

/**
 * What a stage did, as text: its part of the report, rendered when somebody reads it instead of with each run.
 * @returns null if it has not completed.
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
