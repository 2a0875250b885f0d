import {
  type Dispatch,
  type DispatchPatch,
  isTerminal,
  stateOfTraining,
  type Training,
  type TrainingStatus,
} from "./dispatch.ts";
import { graceMs, isFollowable, lastSign, MAX_PAUSE_MS, planNext } from "./plan.ts";
import type { Change, DispatchContext, DispatchInput } from "./transition.ts";

export function reduceSeen(
  dispatch: Dispatch,
  seen: { runs: readonly Training[] | null } & TrainingStatus,
  context: DispatchContext,
): Change {
  const { now, limits } = context;
  if (!mayBecome(dispatch, seen)) return {};
  const isNews =
    dispatch.reason === "lost" ||
    seen.status !== dispatch.status ||
    seen.conclusion !== dispatch.conclusion ||
    (seen.attempt !== null && seen.attempt !== dispatch.attempt);
  if (!isNews) return { patch: heartbeat(dispatch, context) };
  const progress = toProgress(dispatch, seen, context);
  if (seen.runs === null || !isTerminal(stateOfTraining(seen.status, seen.conclusion)))
    return { patch: progress };
  // Accept an end only once the list of runs is complete, because it may lag: if one request started two runs, the older one
  // trains and the other one exits at once.
  const fresh = { kind: "poll", waitMs: limits.pollMs, isFresh: true } as const;
  const isListed = seen.runs.some(({ externalId }) => externalId === dispatch.externalId);
  const isListComplete = isListed || now - (dispatch.askedAt ?? 0) >= limits.searchMs;
  if (!isListComplete) return { patch: heartbeat(dispatch, context), next: fresh };
  const [oldest, ...others] = seen.runs;
  const extraRuns = others.map(({ externalId }) => externalId);
  const hasMore = extraRuns.length > dispatch.extraRuns.length;
  if (oldest && oldest.externalId !== dispatch.externalId)
    return {
      patch: {
        externalId: oldest.externalId,
        url: oldest.url,
        lastSeenAt: now,
        ...(hasMore ? { extraRuns } : {}),
      },
      next: { ...fresh, waitMs: 0 },
    };
  return { patch: { ...progress, ...(hasMore ? { extraRuns } : {}) } };
}

/** An end is final, unless the training was only presumed lost or this is a later attempt of it. */
export function mayBecome(dispatch: Dispatch, { attempt }: Pick<TrainingStatus, "attempt">): boolean {
  if (dispatch.askedAt === null) return false;
  if (!isTerminal(dispatch.state)) return true;
  if (dispatch.state === "rejected" || dispatch.state === "succeeded" || dispatch.endedAt === null)
    return false;
  return dispatch.reason === "lost" || (attempt ?? 0) > (dispatch.attempt ?? 0);
}

export function toProgress(
  dispatch: Dispatch,
  seen: TrainingStatus,
  { now }: DispatchContext,
): DispatchPatch {
  const state = stateOfTraining(seen.status, seen.conclusion);
  return {
    state,
    reason: null,
    status: seen.status,
    conclusion: seen.conclusion,
    attempt: seen.attempt ?? dispatch.attempt,
    url: seen.url ?? dispatch.url,
    durationSeconds: seen.durationSeconds,
    error: null,
    lastSeenAt: now,
    unreachableSince: null,
    startedAt: dispatch.startedAt ?? (state === "sent" ? null : now),
    endedAt: isTerminal(state) ? now : null,
  };
}

export function reduceRunEnded(
  dispatch: Dispatch,
  { conclusion, message, durationSeconds }: Extract<DispatchInput, { kind: "run_ended" }>,
  { now }: DispatchContext,
): Change {
  if (dispatch.state !== "sent" && dispatch.state !== "running") return {};
  return {
    patch: {
      state: stateOfTraining("completed", conclusion),
      reason: conclusion === "lost" ? "lost" : null,
      status: "completed",
      conclusion,
      durationSeconds,
      error: message,
      lastSeenAt: now,
      endedAt: now,
    },
  };
}

/** Records a sign of life from time to time, so that evaluations see that the training is alive. */
export function heartbeat(dispatch: Dispatch, { now, limits }: DispatchContext): DispatchPatch {
  if (isTerminal(dispatch.state)) return {};
  const isDue = now - lastSign(dispatch) >= limits.lostAfterMs / 4;
  return isDue || dispatch.unreachableSince !== null ? { lastSeenAt: now, unreachableSince: null } : {};
}

/** Handles a missing sign of life: waits at first, then gives up the training once it is past the limit. */
export function reduceNoContact(
  dispatch: Dispatch,
  why: string,
  waitMs: number | null,
  context: DispatchContext,
): Change {
  const { now, limits } = context;
  if (isTerminal(dispatch.state)) return { next: planNext(dispatch, context, limits.pollMs) };
  const unreachableSince = dispatch.unreachableSince ?? now;
  const patch = { unreachableSince };
  const silentMs = now - lastSign(dispatch);
  // After an outage of our own, the first failed poll must not end the training.
  if (silentMs >= limits.lostAfterMs && now - unreachableSince >= graceMs(limits.lostAfterMs))
    return giveUp(dispatch, `No sign of life for ${Math.round(silentMs / 1000)} s. ${why}`, context);
  // The pauses grow, but one poll still coincides with the limit.
  const pauseMs = Math.max(waitMs ?? 0, limits.pollMs, Math.min(silentMs / 4, MAX_PAUSE_MS));
  const toLimitMs = Math.max(limits.lostAfterMs - silentMs, graceMs(limits.lostAfterMs)) + 1_000;
  const { kind } = planNext(dispatch, context, limits.pollMs);
  return { patch, next: { kind, waitMs: Math.round(Math.min(pauseMs, toLimitMs)) }, note: why };
}

/** A training that can be followed counts as lost. For any other, only a person can tell whether it started. */
function giveUp(dispatch: Dispatch, error: string, { now, trainer }: DispatchContext): Change {
  if (dispatch.state === "unknown") return { next: { kind: "done" }, isGivenUp: true };
  if (!isFollowable(dispatch, trainer))
    return { patch: { state: "unknown", error }, next: { kind: "done" }, isGivenUp: true };
  return { patch: { state: "failed", reason: "lost", conclusion: "lost", error, endedAt: now } };
}
