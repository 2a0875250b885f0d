import { settleCommands } from "./announce.ts";
import type { CommandRequest, DispatchRequest, HttpRequest } from "../dispatch/request.ts";
import { type Criterion, findInFlight, type Verdict } from "../evaluate.ts";
import type { DriftCheck, Evidence, PastDecision } from "../evidence.ts";
import { EVIDENCE_LIMITS } from "../evidence.ts";
import { explainFailures, recommend } from "./explain.ts";
import { formatCount, formatScore, formatTime, toPlain } from "./format.ts";
import type { Policy } from "../policy.ts";
import type { Superseded } from "../superseded.ts";
import { type DispatchOutcome, isUnrequested } from "../dispatch/advance.ts";

/** The input of a report. */
export interface ReportInput {
  model: string;
  runId: string;
  evidence: Evidence;
  policy: Policy;
  /** The setting that holds the policy's minBufferSize. */
  minBufferSizeSetting: string;
  verdict: Verdict;
  /** The request that the trainer sends, or would send; null for `no_action`. */
  request: DispatchRequest | null;
  /** The decision as recorded; null in a dry run and for a superseded run. */
  recorded: PastDecision | null;
  /** The trainer and the outcome of its dispatch; null if there is none. */
  dispatch: ReportedDispatch | null;
  /** The run that re-evaluates, and why; null for a run that was not superseded. */
  superseded: { by: string; because: Superseded } | null;
  /** IANA zone in which times are written. */
  timeZone: string;
}

/** A dispatch as its row stands; its state is null in a dry run, which has none. */
export type ReportedDispatch = Omit<DispatchOutcome, "state"> & {
  trainer: string;
  state: DispatchOutcome["state"] | null;
};

/**
 * The decision report, section by section as the guide prints it: drift checks, buffer, criteria, action, summary.
 * Pure text without colours. The lines of the guide are kept as wide as they are there.
 */
export function renderReport(input: ReportInput): string {
  return [
    renderFindings(input),
    renderCriteria(input),
    renderAction(input),
    summarySection(input).join("\n"),
  ].join("\n\n");
}

/** Gather's part of the report: drift checks and buffer. */
export function renderFindings(input: Findings): string {
  return [...driftSection(input), "", ...bufferSection(input)].join("\n");
}

/** Evaluate's part: each criterion, and the verdict. */
export function renderCriteria(input: Weighed): string {
  return criteriaSection(input).join("\n");
}

/** Act's part: what was recorded, what is sent, or what is recommended instead. */
export function renderAction(input: ReportInput): string {
  const { verdict, request, superseded } = input;
  if (superseded !== null) return recordLine(input);
  if (verdict.decision !== "trigger" || !request) return noActionSection(input).join("\n");
  const section = isMock(input) ? mockSection : dispatchSection;
  return section(input, request).join("\n");
}

function isMock({ dispatch }: ReportInput): boolean {
  return dispatch?.trainer === "mock";
}

type Findings = Pick<ReportInput, "evidence" | "policy" | "timeZone">;
type Weighed = Pick<ReportInput, "evidence" | "policy" | "verdict">;

const RULE = "=".repeat(70);

function driftSection({ evidence: { checks, takenAt }, policy, timeZone }: Findings): string[] {
  const hours = formatCount(policy.lookbackHours);
  if (checks.total === 0) {
    return [
      "📋 Recent Drift Checks:",
      `   ⚠️ None in the last ${hours} hours (as of ${formatTime(takenAt, timeZone)} ${timeZone}).`,
    ];
  }
  const more = checks.total - checks.newest.length;
  return [
    "📋 Recent Drift Checks:",
    ...checks.newest.map((check) => checkLine(check, timeZone)),
    ...(more > 0 ? [`   … and ${formatCount(more)} older checks in the last ${hours} hours`] : []),
    "",
    ...triggeredLines(checks),
  ];
}

function checkLine(check: DriftCheck, timeZone: string): string {
  const status = check.triggered ? "🚨 TRIGGERED" : "✅ OK";
  const feature = featureName(check.feature).padEnd(23);
  const figures = `Score: ${formatScore(check.score)} | Threshold: ${formatScore(check.threshold)}`;
  return `   ${formatTime(check.checkedAt, timeZone)} | ${feature} | ${figures} | ${status}`;
}

function triggeredLines({ triggered, newestTriggered }: Evidence["checks"]): string[] {
  if (triggered === 0) return ["✅ Triggered Alerts: 0"];
  const more = triggered - newestTriggered.length;
  return [
    `🚨 Triggered Alerts: ${formatCount(triggered)}`,
    "   Drift detected in:",
    ...newestTriggered.map((check) => `   • ${featureName(check.feature)}: ${explainFlag(check)}`),
    ...(more > 0 ? [`   … and ${formatCount(more)} older alerts`] : []),
  ];
}

/** Only the alert's flag counts. The monitor may set it by a rule of its own, such as a score that is too low. */
function explainFlag({ score, threshold }: DriftCheck): string {
  if (score === null || threshold === null || score <= threshold)
    return `flagged by the monitor (Score ${formatScore(score)}, Threshold ${formatScore(threshold)})`;
  const [shown, limit] = [formatScore(score), formatScore(threshold)];
  // Four decimals may hide the difference.
  return shown === limit ? `Score ${score} > Threshold ${threshold}` : `Score ${shown} > Threshold ${limit}`;
}

function featureName(feature: string | null): string {
  return feature === null ? "(no feature name)" : toPlain(feature);
}

function bufferSection({ evidence: { buffer }, policy, timeZone }: Findings): string[] {
  const missing = policy.minBufferSize - buffer.size;
  const lines = [
    `📊 Current buffer size: ${formatCount(buffer.size)} ratings`,
    `📏 Minimum required: ${formatCount(policy.minBufferSize)} ratings`,
    missing <= 0
      ? "✅ Buffer size is SUFFICIENT for retraining"
      : `❌ Buffer size is INSUFFICIENT for retraining (${formatCount(missing)} short)`,
  ];
  if (buffer.batches.length === 0) return lines;
  const more = buffer.batchCount - buffer.batches.length;
  return [
    ...lines,
    "",
    "📦 Buffer Batches:",
    ...buffer.batches.map(
      ({ batch, ratings }) =>
        `   ${batch === null ? "(no batch id)" : toPlain(batch)}: ${formatCount(ratings)} ratings`,
    ),
    ...(more > 0 ? [`   … and ${formatCount(more)} more batches`] : []),
    ...ratingTimes(buffer, timeZone),
  ];
}

function ratingTimes({ batches }: Evidence["buffer"], timeZone: string): string[] {
  const known = batches.flatMap(({ earliestRating, latestRating }) =>
    earliestRating === null || latestRating === null ? [] : [{ earliestRating, latestRating }],
  );
  if (known.length === 0) return [];
  const at = (seconds: number): string => {
    const time = new Date(seconds * 1000);
    return Number.isNaN(time.getTime()) ? String(seconds) : formatTime(time.toISOString(), timeZone);
  };
  const earliest = at(Math.min(...known.map(({ earliestRating }) => earliestRating)));
  const latest = at(Math.max(...known.map(({ latestRating }) => latestRating)));
  return [`   Ratings given from ${earliest} to ${latest}`];
}

function criteriaSection({ verdict, evidence, policy }: Weighed): string[] {
  return [
    "📋 Decision Criteria:",
    ...verdict.criteria.flatMap((criterion, index) => ["", ...criterionLines(criterion, index + 1)]),
    ...guardLines({ verdict, evidence, policy }),
    "",
    RULE,
    verdict.decision === "trigger" ? "🚨 DECISION: TRIGGER RETRAINING" : "✅ DECISION: NO ACTION NEEDED",
    RULE,
    "",
    ...(verdict.decision === "trigger" ? allMetLines(verdict) : explainFailures(verdict, evidence, policy)),
  ];
}

function guardLines({ verdict: { failed }, evidence, policy }: Weighed): string[] {
  const { alerts } = evidence;
  const lines = failed.flatMap((reason) => {
    switch (reason) {
      case "already_acted_on":
        return [`alerts not yet acted on: ${alerts.unanswered} of ${policy.minAlertsTriggered} required`];
      case "retry_backoff":
        return [`alerts of a failed training are kept for a while: ${alerts.failed.length} training(s)`];
      case "training_in_flight":
        return [`no training under way: ${findInFlight(evidence).length} is`];
      default:
        return [];
    }
  });
  return lines.length === 0 ? [] : ["", ...lines.map((line) => `   Guard: ${line}`)];
}

function criterionLines({ id, label, required, actual, passed }: Criterion, number: number): string[] {
  const figures = {
    recent_drift_checks: [],
    drift_alerts: [`Count: ${formatCount(actual)}`, `Required: ${formatCount(required)}`],
    buffer_size: [`Size: ${formatCount(actual)} ratings`, `Required: ${formatCount(required)} ratings`],
  }[id];
  return [
    `   ${number}. ${label}`,
    ...[...figures, `Status: ${passed ? "✅ YES" : "❌ NO"}`].map((line) => `      ${line}`),
  ];
}

function allMetLines({ criteria }: Verdict): string[] {
  const actual = (id: Criterion["id"]): string =>
    formatCount(criteria.find((criterion) => criterion.id === id)?.actual ?? 0);
  return [
    "✅ All criteria met!",
    `   • Drift detected: ${actual("drift_alerts")} alert(s)`,
    `   • Data available: ${actual("buffer_size")} ratings`,
    "   • Action: Initiate model retraining",
  ];
}

function mockSection(input: ReportInput, request: DispatchRequest): string[] {
  const { verdict, evidence } = input;
  return [
    "🎬 MOCK RETRAINING TRIGGER",
    "",
    "📝 This is a MOCK trigger - no actual GitHub Actions call",
    "   In production, this would:",
    "   1. Call GitHub Actions API",
    `   2. Trigger ${workflowOf(request)} workflow`,
    "   3. Pass drift information as parameters",
    "",
    "🔧 Mock GitHub Actions Call:",
    "",
    ...requestLines(request),
    "",
    recordLine(input),
    "",
    "📊 Summary:",
    `   • Drift detected: ${featureName(verdict.feature)}`,
    `   • Drift score: ${formatScore(verdict.driftScore)}`,
    `   • Buffer size: ${formatCount(evidence.buffer.size)} ratings`,
    "   • Action: MOCK trigger logged",
    "",
    "💡 Next Steps:",
    "   1. Wait for teammate to finish training pipeline",
    "   2. Upgrade this DAG to call real GitHub Actions API",
    "   3. Test end-to-end retraining workflow",
  ];
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
        "❌ THE TRAINER REFUSED THE REQUEST. Nothing was started:",
        ...why,
        `   Then: npx retrigger dispatch retry ${recorded.id}`,
        "   or press Retry on this run's act job in Bull Board",
      ];
    case "unknown":
      return [
        "❓ NOBODY KNOWS WHETHER THE TRAINING WAS STARTED. No machine asks again:",
        ...why,
        "   Look at the trainer, then say which:",
        ...settleCommands(recorded.id).map((line) => `   ${line}`),
      ];
    case "cancelled":
      return isUnrequested({ state, reason })
        ? [`⏭️ ${error}. A follow-up looks again`]
        : ["❌ The training was cancelled", ...(error === null ? [] : why)];
    default: {
      const name = [externalId, url].filter((part) => part !== null && part !== "").join(" ");
      return [`✅ Training asked for (${state})${name === "" ? "" : `: ${name}`}`];
    }
  }
}

function workflowOf(request: DispatchRequest): string {
  return ("url" in request && /\/workflows\/([^/]+)\/dispatches$/.exec(request.url)?.[1]) || "the training";
}

function requestLines(request: DispatchRequest): string[] {
  return "url" in request ? httpLines(request) : commandLines(request);
}

function httpLines({ url, method, headers, body }: HttpRequest): string[] {
  return [
    `   URL: ${url}`,
    `   Method: ${method}`,
    "   Headers:",
    ...Object.entries(headers).map(([name, value]) => `      ${name}: ${value}`),
    "",
    "   Payload:",
    ...bodyLines(body, "      "),
  ];
}

function bodyLines(body: HttpRequest["body"], indent: string): string[] {
  return Object.entries(body).flatMap(([name, value]) =>
    typeof value === "object" && value !== null && !Array.isArray(value)
      ? [`${indent}${name}:`, ...bodyLines(value, `${indent}  `)]
      : [`${indent}${name}: ${typeof value === "string" ? value : JSON.stringify(value)}`],
  );
}

function commandLines({ command, workingDirectory }: CommandRequest): string[] {
  return [
    `   Directory: ${workingDirectory}`,
    "   Program and arguments:",
    ...command.map((part) => `      ${JSON.stringify(part)}`),
  ];
}

function noActionSection(input: ReportInput): string[] {
  const { evidence, verdict, timeZone, minBufferSizeSetting } = input;
  return [
    "✅ NO RETRAINING NEEDED",
    "",
    recordLine(input),
    "",
    "📊 Current Status:",
    `   • Triggered alerts: ${formatCount(evidence.checks.triggered)}`,
    `   • Buffer size: ${formatCount(evidence.buffer.size)} ratings`,
    "   • Action: Continue monitoring",
    ...(verdict.nextLookAt === null
      ? []
      : [`   • Next look: ${formatTime(verdict.nextLookAt, timeZone)} ${timeZone} at the latest`]),
    "",
    "💡 Recommendation:",
    ...recommend(verdict, minBufferSizeSetting).map((line) => `   • ${line}`),
  ];
}

function recordLine({ recorded, superseded }: ReportInput): string {
  if (recorded) return "✅ Decision logged to retraining_decisions table";
  if (!superseded) return "🧪 Dry run: nothing was logged, nothing was sent";
  return {
    newer_decision: "⏭️ Not logged: a newer decision came first, this one is superseded",
    stale_evidence: "⏭️ Not logged: the evidence is too old to be acted on, this decision is superseded",
    training_ended: "⏭️ Not logged: the training that held it back has ended, this decision is superseded",
  }[superseded.because];
}

function summarySection(input: ReportInput): string[] {
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
    "",
    "📊 Recent Retraining Decisions:",
    ...(decisions.length > 0
      ? decisions.map((decision) => decisionLine(decision, timeZone))
      : ["   (none yet)"]),
    "",
    `🎯 FINAL STATUS: ${finalStatus(input)}`,
  ];
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
  if (superseded) return `SUPERSEDED - RUN ${superseded.by} LOOKS AGAIN`;
  const status = verdict.decision === "trigger" ? triggerStatus(input) : "NO ACTION - CONTINUE MONITORING";
  return recorded ? status : `${status} - DRY RUN`;
}

function triggerStatus(input: ReportInput): string {
  if (isMock(input)) return "RETRAINING TRIGGERED (MOCK)";
  switch (input.dispatch?.state) {
    case "unknown":
      return "RETRAINING UNKNOWN - LOOK AT THE TRAINER";
    case "rejected":
      return "RETRAINING REJECTED - MEND AND RETRY";
    case "cancelled":
      return isUnrequested({ state: input.dispatch.state, reason: input.dispatch.reason })
        ? "RETRAINING NOT ASKED FOR - A FOLLOW-UP LOOKS AGAIN"
        : "RETRAINING CANCELLED";
    case "failed":
      return "RETRAINING FAILED";
    default:
      return "RETRAINING TRIGGERED";
  }
}
