import type { DispatchOutcome, DispatchState } from "../dispatch/dispatch.ts";
import { formatCount, formatInstant, formatScore, toPlain } from "../format.ts";

/** What a message about a dispatch includes. */
export interface Announced extends Pick<DispatchOutcome, "state" | "url" | "error"> {
  model: string;
  decisionId: number;
  trainer: string;
}

/** "🚨 films: retraining triggered ...", with the trainer's response. */
export function announceTrigger(
  dispatch: Announced,
  figures: { driftScore: number | null; feature: string | null; bufferSize: number; unit?: string },
): string {
  const { driftScore, feature, bufferSize, unit = "rows" } = figures;
  const hasAlert = driftScore !== null || feature !== null;
  const drift = hasAlert ? [`drift ${formatScore(driftScore)} in ${toPlain(feature ?? "N/A")}`] : [];
  return [
    `🚨 ${dispatch.model}: retraining triggered by decision #${dispatch.decisionId}`,
    capitalize([...drift, `buffer ${formatCount(bufferSize)} ${unit}`].join(", ")),
    `Trainer ${dispatch.trainer}: ${dispatch.state}${withUrl(dispatch)}`,
    ...withError(dispatch),
  ].join("\n");
}

/** "✅ films: the training of decision #3 succeeded ..."; after a failure, also until when its alerts are held back. */
export function announceEnd(
  dispatch: Announced,
  {
    conclusion,
    durationSeconds,
    alertsBackAt,
    failedBefore = null,
  }: {
    conclusion: string | null;
    durationSeconds: number | null;
    alertsBackAt: string | null;
    /** The decision whose training failed before, and not succeeded since. */
    failedBefore?: number | null;
  },
): string {
  const took = durationSeconds === null ? "" : ` after ${formatCount(Math.round(durationSeconds))} s`;
  return [
    `${dispatch.state === "succeeded" ? "✅" : "❌"} ${dispatch.model}: the training of decision #${dispatch.decisionId} ${dispatch.state} (${conclusion ?? "no conclusion"})${took}${withUrl(dispatch)}`,
    ...withError(dispatch),
    ...(failedBefore === null
      ? []
      : [
          failedBefore === dispatch.decisionId
            ? "It had failed before"
            : `Resolves the failed training of decision #${failedBefore}`,
        ]),
    ...(alertsBackAt === null
      ? []
      : [`Its alerts are held back until ${formatInstant(alertsBackAt)}; then a follow-up re-evaluates`]),
  ].join("\n");
}

const VERBS: Readonly<Record<DispatchState, string>> = {
  pending: "is requested",
  sent: "was accepted",
  running: "is running",
  unknown: "is unknown",
  rejected: "was refused",
  succeeded: "succeeded",
  failed: "failed",
  cancelled: "was cancelled",
};

/** "✅ films: the training of decision #3 is no longer unknown ...". @param isResent Whether a person had it requested again. */
export function announceSettled(dispatch: Announced, isResent: boolean): string {
  const { model, decisionId, state } = dispatch;
  const outcome = isResent ? "it was requested again" : `it ${VERBS[state]}${withUrl(dispatch)}`;
  return `✅ ${model}: the training of decision #${decisionId} is no longer unknown: ${outcome}`;
}

/** "❓ films: it is unknown whether ...", with the two commands that settle it. */
export function announceUnknown(dispatch: Announced): string {
  return [
    `❓ ${dispatch.model}: it is unknown whether the training of decision #${dispatch.decisionId} started (${dispatch.trainer})`,
    ...withError(dispatch),
    ...settleCommands(dispatch.decisionId),
  ].join("\n");
}

export function announceExtraRuns(dispatch: Announced, extraRuns: readonly string[]): string {
  return [
    `⚠️ ${dispatch.model}: the trainer started ${formatCount(extraRuns.length + 1)} runs for the request of decision #${dispatch.decisionId}`,
    `Followed:${withUrl(dispatch)}; duplicates: ${extraRuns.join(", ")}`,
  ].join("\n");
}

/** "🙋 films: decision #7 awaits an approval ...", with the commands that approve and reject it. */
export function announceApproval(
  { model, decisionId }: Pick<Announced, "model" | "decisionId">,
  { until, reason }: { until: string; reason: string },
): string {
  return [
    `🙋 ${model}: decision #${decisionId} awaits an approval until ${formatInstant(until)} (${reason})`,
    `npx retrigger approve ${decisionId} --by NAME --reason TEXT`,
    `npx retrigger reject ${decisionId} --by NAME --reason TEXT`,
  ].join("\n");
}

/** "🔇 films: no drift run since ...". */
export function announceMissingRuns(model: string, lastSeenAt: string | null, every: string): string {
  const since =
    lastSeenAt === null
      ? "none has been seen yet"
      : `the last sign of one was at ${formatInstant(lastSeenAt)}`;
  return `🔇 ${model}: a drift run is expected every ${every}, but ${since}`;
}

export function announceRunsBack(model: string, lastSeenAt: string | null): string {
  return `🔊 ${model}: drift runs are back${lastSeenAt === null ? "" : ` (${formatInstant(lastSeenAt)})`}`;
}

export function announceFailedChain(model: string, stage: string, runId: string, error: string): string {
  return `❌ ${model}: run ${runId} failed at ${stage}\n${error}\nOnce fixed, retry it in Bull Board`;
}

/** "✅ films: decision #7 was recorded ...", after a run had failed. @param decisionId null if it is not known which decision it is. */
export function announceRecovery(
  model: string,
  { decisionId, runId, queue }: { decisionId: number | null; runId: string; queue: string },
): string {
  const decision = decisionId === null ? "a decision" : `decision #${decisionId}`;
  return `✅ ${model}: ${decision} was recorded after run ${runId} failed at ${queue}`;
}

/** Why a dispatch is not requested: a later decision has requested a training. */
export function describeConflict(decisionId: number): string {
  return `Decision #${decisionId} has requested a training meanwhile: another one would be the second for the same alerts`;
}

/** The two commands with which a person settles an unknown dispatch. */
export function settleCommands(decisionId: number): string[] {
  return [
    `It started:        npx retrigger dispatch confirm ${decisionId} <run>`,
    `It did not start:  npx retrigger dispatch resend ${decisionId}`,
  ];
}

function capitalize(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

function withUrl({ url }: Pick<Announced, "url">): string {
  return url === null ? "" : ` ${url}`;
}

function withError({ error }: Pick<Announced, "error">): string[] {
  return error === null ? [] : [error];
}
