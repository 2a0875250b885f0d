import type { CheckResult } from "../core/check.ts";
import type { ConditionResult } from "../core/condition.ts";
import { CRITERIA } from "../core/criteria/registry.ts";
import { formatCount, formatRatio, formatTime } from "../core/format.ts";
import type { DecisionSummary } from "../core/report/decision-summary.ts";
import { explanationLines } from "../core/report/explanation.ts";

/** A decision in a few lines: the result of every criterion, what was sent, and what would turn it. */
export function resultLines(summary: DecisionSummary, timeZone: string): string[] {
  const { decision, decisionId, reason, condition, guards, explanation, nextLookAt } = summary;
  const isTrigger = decision !== "no_action";
  const objections = guards.filter(({ passed }) => !passed);
  return [
    `${isTrigger ? "🚨" : "⏳"} Decision #${decisionId}: ${decision} (${reason.replaceAll(",", ", ")})`,
    ...(condition === null ? [] : conditionLines(condition, "   ")),
    ...objections.map(({ label }) => `   ✋ ${label} No`),
    ...dispatchLines(summary),
    ...(explanation === null
      ? []
      : explanationLines(isTrigger ? "trigger" : decision, explanation).filter((line) => line !== "")),
    ...(isTrigger || nextLookAt === null
      ? []
      : [`⏰ Re-evaluated by itself at ${formatTime(nextLookAt, timeZone)} ${timeZone} at the latest`]),
  ];
}

function conditionLines(result: ConditionResult, indent: string, isOutermost = true): string[] {
  if (result.kind === "criterion") return [`${indent}${mark(result)} ${result.label} ${figures(result)}`];
  const below = (deeper: string): string[] =>
    result.children.flatMap((child) => conditionLines(child, deeper, false));
  if (isOutermost && result.kind === "all") return below(indent);
  const name = {
    all: "All of:",
    any: "Any of:",
    atLeast: `At least ${"count" in result ? result.count : ""} of:`,
  };
  return [`${indent}${mark(result)} ${name[result.kind]}`, ...below(`${indent}   `)];
}

function mark({ passed }: { passed: boolean }): string {
  return passed ? "✅" : "❌";
}

function figures({ id, actual, required }: CheckResult): string {
  const unit = CRITERIA.find((criterion) => criterion.id === id)?.unit;
  return `${format(actual)} (at least ${[format(required), unit].filter(Boolean).join(" ")})`;
}

function format(figure: number): string {
  return Number.isInteger(figure) ? formatCount(figure) : formatRatio(figure);
}

function dispatchLines({ dispatch }: DecisionSummary): string[] {
  if (dispatch === null) return [];
  const { trainer, state, url, error } = dispatch;
  if (trainer === "mock")
    return ["📝 Trainer mock: the request is only shown in the report, nothing was sent"];
  return [`📤 Trainer ${[trainer, state, url, error].filter((part) => part !== null).join(" · ")}`];
}
