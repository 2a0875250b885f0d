import type { CheckDefinition, CheckReport, CheckResult, Failure } from "../check.ts";
import { type ConditionResult, listCriteria } from "../condition.ts";
import { CRITERIA } from "../criteria/registry.ts";
import { GUARDS } from "../guards/registry.ts";
import { settingsOf } from "../policy.ts";
import { explanationLines } from "./explanation.ts";
import type { ReportInput } from "./input.ts";

type Evaluated = Pick<ReportInput, "evidence" | "policy" | "verdict">;
type Reported = CheckDefinition & CheckReport<never>;

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

/** What to do next: the advice of the failed checks, then the guide's lines. */
export function recommend({
  settingNames,
  ...input
}: Evaluated & Pick<ReportInput, "settingNames">): string[] {
  const advice = listFailures(input).flatMap(({ check, failure }) =>
    check.advise(failure as never, settingNames[check.key] ?? check.key),
  );
  return [
    ...new Set(advice),
    "Keep ingesting new batches",
    "Run drift_monitoring after each batch",
    ...(input.evidence.isGuide ? ["This DAG will auto-trigger when criteria met"] : []),
  ];
}

/** A criterion's result with its settings, in the order of the condition. */
interface Listed {
  check: Reported;
  result: CheckResult;
  settings: unknown;
}

function listListed({ verdict, policy }: Evaluated): Listed[] {
  const placed = listCriteria(policy.when);
  return verdict.criteria.flatMap((result, index): Listed[] => {
    // A verdict of another version may list other criteria.
    const own = placed[index]?.criterion.id === result.id ? placed[index] : undefined;
    const check = own?.criterion ?? CRITERIA.find(({ id }) => id === result.id);
    return check ? [{ check, result, settings: own?.settings ?? {} }] : [];
  });
}

interface ReportedFailure {
  check: Reported;
  failure: Failure<unknown>;
}

/** The failed criteria, then the guards that object. */
function listFailures(input: Evaluated): ReportedFailure[] {
  const { verdict, evidence, policy } = input;
  const shared = { evidence, now: Date.parse(evidence.takenAt) };
  const isFailed = (check: Reported): boolean => verdict.failed.some((code) => code === check.reason);
  const criteria = listListed(input)
    .filter(({ check, result }) => !result.passed && isFailed(check))
    .map(({ check, result, settings }) => ({ check, failure: { ...shared, result, settings } }));
  const guards = verdict.guards.flatMap((result) => {
    const guard = GUARDS.find(({ id }) => id === result.id);
    if (!guard || result.passed || !isFailed(guard)) return [];
    return [{ check: guard, failure: { ...shared, result, settings: settingsOf(policy, guard) ?? {} } }];
  });
  return [...criteria, ...guards];
}

/** Every criterion with its figures; those of a combination are indented below it. */
function conditionLines(input: Evaluated): string[] {
  const listed = listListed(input);
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
  { check, result, settings }: Listed,
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

/** Drift that waits, for data say, is not the same as nothing to do. */
function headline({ verdict }: Evaluated): string {
  if (verdict.decision === "trigger")
    return `🚨 DECISION: TRIGGER RETRAINING${verdict.forced ? ` (FORCED BY ${verdict.forced.by})` : ""}`;
  return isDriftWaiting(verdict)
    ? "⏳ DECISION: DRIFT DETECTED, BUT WAITING"
    : "✅ DECISION: NO ACTION NEEDED";
}

/** Whether drift was found, but something else keeps the model from being retrained. */
export function isDriftWaiting({ decision, criteria }: Evaluated["verdict"]): boolean {
  return (
    decision === "no_action" &&
    criteria.some(
      ({ id, passed }) => passed && CRITERIA.some((criterion) => criterion.id === id && criterion.isDrift),
    )
  );
}

function allMetLines(input: Evaluated): string[] {
  const { verdict, evidence } = input;
  return [
    "✅ All criteria met!",
    ...listListed(input)
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
