import { listCriteria } from "../condition.ts";
import { describeCounted } from "../counter.ts";
import { formatHours } from "../criteria/recent-drift-checks.ts";
import type { DriftCheck, Evidence } from "../evidence.ts";
import { formatCount, formatScore, formatTime, toPlain } from "../format.ts";
import { needsOf } from "../policy.ts";
import type { ReportInput } from "./input.ts";

type Findings = Pick<ReportInput, "evidence" | "policy" | "timeZone">;

/** Gather's part of the report: drift checks and buffer. */
export function renderFindings(input: Findings): string {
  return [...driftSection(input), "", ...bufferSection(input)].join("\n");
}

function driftSection({ evidence: { checks, takenAt }, policy, timeZone }: Findings): string[] {
  const hours = formatHours(needsOf(policy).within);
  if (checks.total === 0) {
    return [
      "📋 Recent Drift Checks:",
      `   ⚠️ None in the last ${hours} (as of ${formatTime(takenAt, timeZone)} ${timeZone}).`,
    ];
  }
  const more = checks.total - checks.newest.length;
  return [
    "📋 Recent Drift Checks:",
    ...checks.newest.map((check) => checkLine(check, timeZone)),
    ...(more > 0 ? [`   … and ${formatCount(more)} older checks in the last ${hours}`] : []),
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

/** Only the alert's flag counts. The monitor may set it by other rules, such as a score that is too low. */
function explainFlag({ score, threshold }: DriftCheck): string {
  if (score === null || threshold === null || score <= threshold)
    return `flagged by the monitor (Score ${formatScore(score)}, Threshold ${formatScore(threshold)})`;
  const [shown, limit] = [formatScore(score), formatScore(threshold)];
  // Four decimals may hide the difference.
  return shown === limit ? `Score ${score} > Threshold ${threshold}` : `Score ${shown} > Threshold ${limit}`;
}

/** A feature's name as one line of text. */
export function featureName(feature: string | null): string {
  return feature === null ? "(no feature name)" : toPlain(feature);
}

function bufferSection({ evidence: { buffer, isGuide }, policy, timeZone }: Findings): string[] {
  const counted = describeCounted(buffer.counted);
  const lines = [
    `📊 Current buffer size: ${formatCount(buffer.size)} ${buffer.unit}`,
    ...(counted === null ? [] : [`   ${counted}`]),
    ...requiredLines(buffer, policy),
  ];
  if (buffer.batches.length === 0) return lines;
  // The guide's tables have batches, even without names.
  if (!isGuide && buffer.batches.every(({ batch }) => batch === null))
    return [...lines, ...ratingTimes(buffer, timeZone)];
  const more = buffer.batchCount - buffer.batches.length;
  return [
    ...lines,
    "",
    "📦 Buffer Batches:",
    ...buffer.batches.map(
      ({ batch, ratings }) =>
        `   ${batch === null ? "(no batch id)" : toPlain(batch)}: ${formatCount(ratings)} ${buffer.unit}`,
    ),
    ...(more > 0 ? [`   … and ${formatCount(more)} more batches`] : []),
    ...ratingTimes(buffer, timeZone),
  ];
}

/** The size that the policy requires, if it requires one. */
function requiredLines({ size, unit }: Evidence["buffer"], policy: Findings["policy"]): string[] {
  const required = listCriteria(policy.when).find(({ criterion }) => criterion.key === "bufferSize")
    ?.settings as { atLeast: number } | undefined;
  if (required === undefined) return [];
  const missing = required.atLeast - size;
  return [
    `📏 Minimum required: ${formatCount(required.atLeast)} ${unit}`,
    missing <= 0
      ? "✅ Buffer size is SUFFICIENT for retraining"
      : `❌ Buffer size is INSUFFICIENT for retraining (${formatCount(missing)} short)`,
  ];
}

function ratingTimes({ batches, unit }: Evidence["buffer"], timeZone: string): string[] {
  const known = batches.flatMap(({ earliestRating, latestRating }) =>
    earliestRating === null || latestRating === null ? [] : [{ earliestRating, latestRating }],
  );
  if (known.length === 0) return [];
  const at = (seconds: number): string => {
    const time = new Date(toSeconds(seconds) * 1000);
    return Number.isNaN(time.getTime()) ? String(seconds) : formatTime(time.toISOString(), timeZone);
  };
  const earliest = at(Math.min(...known.map(({ earliestRating }) => earliestRating)));
  const latest = at(Math.max(...known.map(({ latestRating }) => latestRating)));
  return [`   ${unit === "ratings" ? "Ratings given from" : "From"} ${earliest} to ${latest}`];
}

/** Larger figures are milliseconds, or a smaller unit still: as seconds, this is the year 5138. */
const LARGEST_SECONDS = 1e11;

function toSeconds(time: number): number {
  return Math.abs(time) > LARGEST_SECONDS && Number.isFinite(time) ? toSeconds(time / 1000) : time;
}
