import { isApprovalAwaited } from "../approval-plan.ts";
import type { ConditionResult } from "../condition.ts";
import { CRITERIA } from "../criteria/registry.ts";
import { type MatchedCriterion, listFailures, matchCriteria } from "../failures.ts";
import { GUARDS } from "../guards/registry.ts";
import { settingsOf } from "../policy.ts";
import { explanationLines } from "./explanation.ts";
import type { ReportInput } from "./input.ts";

type Evaluated = Pick<ReportInput, "evidence" | "policy" | "verdict">;

const RULE = "=".repeat(70);

/** Evaluate's part of the report: every criterion, the guards that object, and the verdict with its reasons. */
export function renderCriteria(input: Evaluated): string {
  const { verdict } = input;
  const isTrigger = verdict.decision === "trigger";
  return [
    "📋 Decision Criteria:",
    ...conditionLines(input),
    ...guardLines(input),
    "",
    RULE,
    headline(input),
    RULE,
    "",
    ...(isTrigger ? allMetLines(input) : explainFailures(input)),
    ...(verdict.explanation ? explanationLines(verdict.decision, verdict.explanation) : []),
  ].join("\n");
}

/** What to do next: the advice of the failed checks; on the guide's tables also the guide's lines. */
export function recommend({
  settingNames,
  recorded,
  ...input
}: Evaluated & Pick<ReportInput, "settingNames" | "recorded">): string[] {
  const advice = listFailures(input, recorded?.id ?? null).flatMap(({ check, failure }) =>
    check.advise(failure as never, settingNames[check.key] ?? check.key),
  );
  if (input.evidence.isGuide) return [...new Set(advice), ...GUIDE_ADVICE];
  return advice.length > 0 ? [...new Set(advice)] : ["Nothing to do: the model is re-evaluated by itself"];
}

const GUIDE_ADVICE = [
  "Keep ingesting new batches",
  "Run drift_monitoring after each batch",
  "This DAG will auto-trigger when criteria met",
];

/** Every criterion with its figures; those of a combination are indented below it. */
function conditionLines(input: Evaluated): string[] {
  const listed = matchCriteria(input);
  const context = { evidence: input.evidence };
  let number = 0;
  const lines = (result: ConditionResult, indent: string, isOutermost: boolean): string[] => {
    if (result.kind === "criterion") {
      const own = listed[number];
      number += 1;
      return own ? ["", ...criterionLines(own, context, number, indent)] : [];
    }
    if (isOutermost && result.kind === "all")
      return result.children.flatMap((child) => lines(child, indent, false));
    const name = {
      all: "All of:",
      any: "Any of:",
      atLeast: `At least ${"count" in result ? result.count : ""} of:`,
    };
    return [
      "",
      `${indent}${name[result.kind]} ${result.passed ? "✅ YES" : "❌ NO"}`,
      ...result.children.flatMap((child) => lines(child, `${indent}   `, false)),
    ];
  };
  const { condition } = input.verdict;
  if (condition !== null) return lines(condition, "   ", true);
  return listed.flatMap((own, index) => ["", ...criterionLines(own, context, index + 1, "   ")]);
}

function criterionLines(
  { check, result, settings }: MatchedCriterion,
  context: Pick<Evaluated, "evidence">,
  number: number,
  indent: string,
): string[] {
  const figures = check.report(result, { ...context, settings: settings as never });
  return [
    `${indent}${number}. ${result.label}`,
    ...[...figures, `Status: ${result.passed ? "✅ YES" : "❌ NO"}`].map((line) => `${indent}   ${line}`),
  ];
}

function guardLines(input: Evaluated): string[] {
  const { verdict, evidence, policy } = input;
  const lines = verdict.guards.flatMap((result) => {
    const guard = GUARDS.find(({ id }) => id === result.id);
    if (!guard || result.passed) return [];
    const settings = (settingsOf(policy, guard) ?? {}) as never;
    const note = result.overridden ? " (overridden)" : "";
    return guard.report(result, { evidence, settings }).map((line) => `${line}${note}`);
  });
  return lines.length === 0 ? [] : ["", ...lines.map((line) => `   Guard: ${line}`)];
}

function headline(input: Evaluated): string {
  const { decision, forced } = input.verdict;
  if (decision === "trigger")
    return `🚨 DECISION: TRIGGER RETRAINING${forced ? ` (FORCED BY ${forced.by})` : ""}`;
  return {
    approval: "🙋 DECISION: AN APPROVAL IS NEEDED",
    drift: "⏳ DECISION: DRIFT DETECTED, BUT WAITING",
    due: "⏳ DECISION: RETRAINING IS DUE, BUT WAITING",
    nothing: "✅ DECISION: NO ACTION NEEDED",
  }[findWaiting(input)];
}

/**
 * What waits although nothing is done: a training for its approval, drift for something else, such as data, or what the
 * condition calls for without drift, for a guard.
 */
export function findWaiting({
  verdict,
  evidence,
  policy,
}: Evaluated): "approval" | "drift" | "due" | "nothing" {
  const { criteria, condition } = verdict;
  if (isApprovalAwaited(evidence, policy, verdict)) return "approval";
  const isDrift = criteria.some(
    ({ id, passed }) => passed && CRITERIA.some((criterion) => criterion.id === id && criterion.isDrift),
  );
  if (isDrift) return "drift";
  return condition?.passed ? "due" : "nothing";
}

function allMetLines(input: Evaluated): string[] {
  const { verdict, evidence } = input;
  return [
    verdict.criteria.every(({ passed }) => passed)
      ? "✅ All criteria met!"
      : "✅ The condition of the policy is met:",
    ...matchCriteria(input)
      .filter(({ result }) => result.passed)
      .flatMap(({ check, result, settings }) => {
        const criterion = CRITERIA.find(({ id }) => id === check.id);
        return criterion?.summarize?.(result, { evidence, settings: settings as never }) ?? [];
      })
      .map((line) => `   • ${line}`),
    ...(verdict.forced === null ? [] : [`   • Forced by ${verdict.forced.by}: ${verdict.forced.reason}`]),
    "   • Action: Initiate model retraining",
  ];
}

function explainFailures(input: Evaluated): string[] {
  const lines = listFailures(input).flatMap(({ check, failure }) => check.explain(failure as never));
  return ["❌ Not met:", ...lines.map((line) => (line.startsWith("  ") ? `   ${line}` : `   • ${line}`))];
}
