import { isMock, isUnrequested } from "../dispatch/dispatch.ts";
import type { DispatchRequest } from "../dispatch/request.ts";
import { formatCount, formatScore, formatTime } from "../format.ts";
import { settleCommands } from "./announce.ts";
import { findWaiting, recommend } from "./criteria.ts";
import { featureName } from "./findings.ts";
import type { ReportInput } from "./input.ts";
import { requestLines } from "./request.ts";

/** Act's part of the report: what was recorded, and what was sent or is recommended. */
export function renderAction(input: ReportInput): string {
  const { verdict, request, superseded } = input;
  if (superseded !== null) return recordLine(input);
  if (verdict.decision !== "trigger" || !request) return noActionSection(input).join("\n");
  const section = hasMock(input) ? mockSection : dispatchSection;
  return section(input, request).join("\n");
}

export function hasMock({ dispatch }: Pick<ReportInput, "dispatch">): boolean {
  return dispatch !== null && isMock(dispatch.trainer);
}

function mockSection(input: ReportInput, request: DispatchRequest): string[] {
  const { verdict, evidence } = input;
  return [
    "🎬 MOCK RETRAINING TRIGGER",
    "",
    ...(evidence.isGuide
      ? [
          "📝 This is a MOCK trigger - no actual GitHub Actions call",
          "   In production, this would:",
          "   1. Call GitHub Actions API",
          `   2. Trigger ${workflowOf(request)} workflow`,
          "   3. Pass drift information as parameters",
          "",
          "🔧 Mock GitHub Actions Call:",
        ]
      : ["📝 The mock trainer sends nothing. The github trainer would send:"]),
    "",
    ...requestLines(request),
    "",
    recordLine(input),
    "",
    "📊 Summary:",
    ...triggerLines(verdict),
    `   • Buffer size: ${formatCount(evidence.buffer.size)} ${evidence.buffer.unit}`,
    "   • Action: MOCK trigger logged",
    ...(evidence.isGuide
      ? [
          "",
          "💡 Next Steps:",
          "   1. Wait for teammate to finish training pipeline",
          "   2. Upgrade this DAG to call real GitHub Actions API",
          "   3. Test end-to-end retraining workflow",
        ]
      : []),
  ];
}

/** The drift, or for a trigger without an alert its reason. */
function triggerLines({ reason, feature, driftScore }: ReportInput["verdict"]): string[] {
  if (feature === null && driftScore === null && reason !== "drift_detected")
    return [`   • Reason: ${reason}`];
  return [`   • Drift detected: ${featureName(feature)}`, `   • Drift score: ${formatScore(driftScore)}`];
}

function dispatchSection(input: ReportInput, request: DispatchRequest): string[] {
  return [
    "🎬 RETRAINING TRIGGER",
    "",
    `🔧 Request to the trainer (${input.dispatch?.trainer}):`,
    "",
    ...requestLines(request),
    "",
    recordLine(input),
    ...dispatchLines(input),
  ];
}

function dispatchLines({ dispatch, recorded }: ReportInput): string[] {
  if (!dispatch || !recorded) return [];
  const { state, reason, externalId, url, error } = dispatch;
  const why = (error ?? "").split("\n").map((line) => `   ${line}`);
  switch (state) {
    case "rejected":
      return [
        "❌ THE TRAINER REFUSED THE REQUEST. No training started:",
        ...why,
        `   Once fixed: npx retrigger dispatch retry ${recorded.id}`,
        "   or press Retry on this run's act job in Bull Board",
      ];
    case "unknown":
      return [
        "❓ IT IS UNKNOWN WHETHER THE TRAINING STARTED. The request is not sent again automatically:",
        ...why,
        "   Check the trainer, then run one of:",
        ...settleCommands(recorded.id).map((line) => `   ${line}`),
      ];
    case "cancelled":
      return isUnrequested({ state, reason })
        ? [`⏭️ ${error}. A follow-up re-evaluates`]
        : ["❌ The training was cancelled", ...(error === null ? [] : why)];
    default: {
      const name = [externalId, url].filter((part) => part !== null && part !== "").join(" ");
      return [
        `${state === "failed" ? "❌" : "✅"} Training requested (${state})${name === "" ? "" : `: ${name}`}`,
      ];
    }
  }
}

function workflowOf(request: DispatchRequest): string {
  return (
    (request.kind === "http" && /\/workflows\/([^/]+)\/dispatches$/.exec(request.url)?.[1]) || "the training"
  );
}

function noActionSection(input: ReportInput): string[] {
  const { evidence, verdict, timeZone } = input;
  const waiting = findWaiting(input);
  return [
    waiting === "nothing" ? "✅ NO RETRAINING NEEDED" : "⏳ NO RETRAINING YET",
    "",
    recordLine(input),
    "",
    "📊 Current Status:",
    `   • Triggered alerts: ${formatCount(evidence.checks.triggered)}`,
    `   • Buffer size: ${formatCount(evidence.buffer.size)} ${evidence.buffer.unit}`,
    `   • Action: ${waiting === "approval" ? "Wait for the approval" : "Continue monitoring"}`,
    ...(verdict.nextLookAt === null
      ? []
      : [`   • Next re-evaluation: ${formatTime(verdict.nextLookAt, timeZone)} ${timeZone} at the latest`]),
    "",
    "💡 Recommendation:",
    ...recommend(input).map((line) => `   • ${line}`),
  ];
}

function recordLine({ recorded, superseded }: ReportInput): string {
  if (recorded) return "✅ Decision logged to retraining_decisions table";
  if (!superseded) return "🧪 Dry run: nothing was logged or sent";
  return {
    newer_decision: "⏭️ Not logged: another run decided first, so this decision is superseded",
    stale_evidence: "⏭️ Not logged: the evidence is too old to act on, so this decision is superseded",
    training_ended: "⏭️ Not logged: the training that blocked it has ended, so this decision is superseded",
    budget_spent:
      "⏭️ Not logged: other models have spent the budget meanwhile, so this decision is superseded",
  }[superseded.because];
}
