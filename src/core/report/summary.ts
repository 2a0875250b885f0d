import { isUnrequested } from "../dispatch/dispatch.ts";
import { EVIDENCE_LIMITS, type PastDecision } from "../evidence.ts";
import { formatCount, formatScore, formatTime } from "../format.ts";
import { hasMock } from "./action.ts";
import { findWaiting } from "./criteria.ts";
import type { ReportInput } from "./input.ts";

/** The end of the report: the latest decisions, and the status of this one. */
export function renderSummary(input: ReportInput): string {
  const { evidence, recorded, timeZone, model, runId } = input;
  const decisions = [...(recorded ? [recorded] : []), ...evidence.lastDecisions].slice(
    0,
    EVIDENCE_LIMITS.decisions,
  );
  return [
    "📋 RETRAINING TRIGGER SUMMARY REPORT",
    "",
    `   Model: ${model}`,
    `   Run: ${runId}`,
    ...(recorded ? [`   Decision: #${recorded.id}`] : []),
    ...(input.page === null ? [] : [`   Page: ${input.page}`]),
    "",
    "📊 Recent Retraining Decisions:",
    ...(decisions.length > 0
      ? decisions.map((decision) => decisionLine(decision, timeZone))
      : ["   (none yet)"]),
    "",
    `🎯 FINAL STATUS: ${finalStatus(input)}`,
  ].join("\n");
}

function decisionLine(
  { decidedAt, decision, bufferSize, driftScore }: PastDecision,
  timeZone: string,
): string {
  const icon = decision?.startsWith("trigger") ? "🚨" : "✅";
  const buffer = bufferSize === null ? "N/A" : formatCount(bufferSize);
  const name = (decision ?? "(unknown)").padEnd(15);
  return `   ${icon} ${formatTime(decidedAt, timeZone)} | ${name} | Buffer: ${buffer} | Drift: ${formatScore(driftScore)}`;
}

function finalStatus(input: ReportInput): string {
  const { verdict, recorded, superseded } = input;
  if (superseded) return `SUPERSEDED - RUN ${superseded.by} RE-EVALUATES`;
  const status = verdict.decision === "trigger" ? triggerStatus(input) : noActionStatus(input);
  return recorded ? status : `${status} - DRY RUN`;
}

function noActionStatus(input: ReportInput): string {
  return findWaiting(input) === "approval"
    ? "NO ACTION - WAITING FOR AN APPROVAL"
    : "NO ACTION - CONTINUE MONITORING";
}

function triggerStatus(input: ReportInput): string {
  if (hasMock(input)) return "RETRAINING TRIGGERED (MOCK)";
  switch (input.dispatch?.state) {
    case "unknown":
      return "RETRAINING UNKNOWN - CHECK THE TRAINER";
    case "rejected":
      return "RETRAINING REJECTED - FIX AND RETRY";
    case "cancelled":
      return isUnrequested({ state: input.dispatch.state, reason: input.dispatch.reason })
        ? "RETRAINING NOT REQUESTED - A FOLLOW-UP RE-EVALUATES"
        : "RETRAINING CANCELLED";
    case "failed":
      return "RETRAINING FAILED";
    default:
      return "RETRAINING TRIGGERED";
  }
}
