import { type Check, type CheckResult, type CheckSettings, type Failure, runCheck } from "../check.ts";
import { CRITERIA } from "../criteria/registry.ts";
import { GUARDS } from "../guards/registry.ts";
import { CHECKS } from "../policy.ts";
import type { ReportInput } from "./input.ts";

type Evaluated = Pick<ReportInput, "evidence" | "policy" | "verdict">;

const RULE = "=".repeat(70);

/** Evaluate's part of the report: every criterion, the guards that object, and the verdict with its reasons. */
export function renderCriteria(input: Evaluated): string {
  const isTrigger = input.verdict.decision === "trigger";
  return [
    "📋 Decision Criteria:",
    ...listResults(CRITERIA, input.verdict.criteria).flatMap(([check, result], index) => [
      "",
      ...criterionLines(check, result, index + 1),
    ]),
    ...guardLines(input),
    "",
    RULE,
    isTrigger ? "🚨 DECISION: TRIGGER RETRAINING" : "✅ DECISION: NO ACTION NEEDED",
    RULE,
    "",
    ...(isTrigger ? allMetLines(input) : explainFailures(input)),
  ].join("\n");
}

/** What to do next: the advice of the failed checks, then the guide's lines. */
export function recommend({
  settingNames,
  ...input
}: Evaluated & Pick<ReportInput, "settingNames">): string[] {
  const advice = listFailures(input).flatMap(([check, failure]) =>
    check.advise(failure, (key) => settingNames[key] ?? key),
  );
  return [
    ...advice,
    "Keep ingesting new batches",
    "Run drift_monitoring after each batch",
    "This DAG will auto-trigger when criteria met",
  ];
}

/** Pairs results with their checks. Omits results of checks that only another version has. */
function listResults(checks: readonly Check[], results: readonly CheckResult[]): [Check, CheckResult][] {
  return results.flatMap((result): [Check, CheckResult][] => {
    const check = checks.find(({ id }) => id === result.id);
    return check ? [[check, result]] : [];
  });
}

function listFailures({ verdict, evidence, policy }: Evaluated): [Check, Failure<CheckSettings>][] {
  const results = [...verdict.criteria, ...verdict.guards];
  return CHECKS.filter(({ reason }) => verdict.failed.some((code) => code === reason)).map((check) => {
    // Verdicts of earlier versions list no guards.
    const result = results.find(({ id }) => id === check.id) ?? runCheck(check, evidence, policy);
    return [check, { result, evidence, settings: policy }];
  });
}

function criterionLines({ report }: Check, result: CheckResult, number: number): string[] {
  return [
    `   ${number}. ${result.label}`,
    ...[...report(result), `Status: ${result.passed ? "✅ YES" : "❌ NO"}`].map((line) => `      ${line}`),
  ];
}

function guardLines(input: Evaluated): string[] {
  const guards: readonly Check[] = GUARDS;
  const lines = listFailures(input).flatMap(([check, { result }]) =>
    guards.includes(check) ? check.report(result) : [],
  );
  return lines.length === 0 ? [] : ["", ...lines.map((line) => `   Guard: ${line}`)];
}

function allMetLines({ verdict }: Evaluated): string[] {
  return [
    "✅ All criteria met!",
    ...listResults(CRITERIA, verdict.criteria)
      .flatMap(([{ summarize }, result]) => summarize?.(result) ?? [])
      .map((line) => `   • ${line}`),
    "   • Action: Initiate model retraining",
  ];
}

function explainFailures(input: Evaluated): string[] {
  const lines = listFailures(input).flatMap(([check, failure]) => check.explain(failure));
  return ["❌ Not met:", ...lines.map((line) => (line.startsWith("  ") ? `   ${line}` : `   • ${line}`))];
}
