import { z } from "zod";
import { CheckResult } from "../check.ts";
import { ConditionResult } from "../condition.ts";
import { DispatchOutcome, DispatchState } from "../dispatch/dispatch.ts";
import { DispatchRequest } from "../dispatch/request.ts";
import { Explanation } from "../explain/explanation.ts";
import type { ReportInput } from "./input.ts";
import { renderReport } from "./report.ts";

/** A decision as one object: the result of a chain and the output of `decide --json`. */
export const DecisionSummary = z.object({
  runId: z.uuid(),
  model: z.string(),
  /** As recorded: `trigger_mock`, `trigger` or `no_action`; `superseded` if another run came first. */
  decision: z.string(),
  reason: z.string(),
  bufferSize: z.number().int(),
  driftScore: z.number().nullable(),
  feature: z.string().nullable(),
  criteria: z.array(CheckResult),
  /** The condition of the policy, with the result of every criterion and combination. */
  condition: ConditionResult.nullable().default(null),
  guards: z.array(CheckResult).default([]),
  /** Who forced the decision past its guards, and why. */
  forced: z.object({ by: z.string(), reason: z.string() }).nullable().default(null),
  /** What would turn the decision, and what did not count. */
  explanation: Explanation.nullable().default(null),
  dispatch: z
    .object({
      trainer: z.string(),
      request: DispatchRequest,
      ...DispatchOutcome.shape,
      /** State of the dispatch row; null in a dry run, which has none. */
      state: DispatchState.nullable(),
    })
    .nullable(),
  decisionId: z.number().int().nullable(),
  /** ISO 8601; null in a dry run and for a superseded run. */
  decidedAt: z.string().nullable(),
  /** When time alone could change the decision, and a follow-up re-evaluates, ISO 8601; null for never. */
  nextLookAt: z.string().nullable().default(null),
  /** The run that re-evaluates; only if this one was superseded. */
  supersededBy: z.uuid().optional(),
  report: z.string(),
});
export type DecisionSummary = z.infer<typeof DecisionSummary>;

/** The report of a chain's result, whichever version wrote it; null if it has none. */
export function reportOf(result: unknown): string | null {
  return WithReport.safeParse(result).data?.report ?? null;
}

const WithReport = DecisionSummary.pick({ report: true });

/** Summarizes a recorded, superseded or dry run, with its report. */
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
    condition: verdict.condition,
    guards: verdict.guards,
    forced: verdict.forced,
    explanation: verdict.explanation,
    dispatch: dispatch && request && { ...dispatch, request },
    decisionId: recorded?.id ?? null,
    decidedAt: recorded?.decidedAt ?? null,
    nextLookAt: verdict.nextLookAt,
    ...(superseded === null ? {} : { supersededBy: superseded.by }),
    report: renderReport(input),
  };
}
