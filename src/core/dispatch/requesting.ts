import { CANCELLATIONS, type Dispatch, type DispatchPatch, isTerminal, type Training } from "./dispatch.ts";
import { reduceNoContact } from "./following.ts";
import { clamp, isFollowable, isPastLimit, MINUTE_MS, planNext } from "./plan.ts";
import type { Change, DispatchContext, DispatchInput, DispatchLimits, FailedRequest } from "./transition.ts";

/** Adopts the training that a person named. */
export function confirm(
  { externalId, statusUrl = null, isDone = false }: Extract<DispatchInput, { kind: "confirm" }>,
  { now }: DispatchContext,
): DispatchPatch {
  const named = { externalId, statusUrl, reason: null, error: null, lastSeenAt: now, unreachableSince: null };
  return { ...named, ...toAccepted(isDone, now) };
}

export function isConfirmable({ state, externalId, askedAt }: Dispatch): boolean {
  if (askedAt === null) return false;
  return state === "unknown" || ((state === "pending" || state === "sent") && externalId === null);
}

/** The state of an accepted request. If its outcome will never be known, acceptance counts as success. */
function toAccepted(isDone: boolean, now: number): DispatchPatch {
  return isDone
    ? { state: "succeeded", status: "completed", conclusion: "accepted", startedAt: now, endedAt: now }
    : { state: "sent" };
}

/** Resets a dispatch to its state before the first request. */
export const REOPENED: DispatchPatch = {
  state: "pending",
  reason: null,
  askedAt: null,
  lastSeenAt: null,
  unreachableSince: null,
  error: null,
  externalId: null,
  url: null,
  statusUrl: null,
};

/** The job has already waited, so the next step is due now. */
export function reduceOpened(dispatch: Dispatch, context: DispatchContext): Change {
  if (dispatch.state === "unknown" && isPastLimit(dispatch, context))
    return { next: { kind: "done" }, isGivenUp: true };
  return { next: planNext(dispatch, context, 0) };
}

export function reduceDifference(dispatch: Dispatch, haveSettingsChanged: boolean): Change {
  if (dispatch.state !== "pending" || dispatch.askedAt !== null) return {};
  return {
    patch: haveSettingsChanged
      ? { state: "cancelled", reason: "settings_changed", error: CANCELLATIONS.settings_changed }
      : { state: "rejected", reason: "request_tampered", error: TAMPERED },
  };
}

const TAMPERED =
  "The request recorded in retraining_dispatches differs from the one rendered from the settings, so it was not sent: the row was changed.\nFind out who can write to retraining_dispatches; the model's next decision renders a new request";

export function reduceAccepted(
  dispatch: Dispatch,
  { training, isDone = false }: { training: Training | null; isDone?: boolean },
  { now }: DispatchContext,
): Change {
  // A callback may have arrived before this response: keep what it reported, and add only what is missing.
  const names = {
    externalId: dispatch.externalId ?? training?.externalId ?? null,
    url: dispatch.url ?? training?.url ?? null,
    statusUrl: dispatch.statusUrl ?? training?.statusUrl ?? null,
  };
  if (dispatch.state !== "pending" && dispatch.state !== "unknown") return { patch: names };
  // A late response still counts, even if the request has been given up.
  const askedAt = dispatch.askedAt ?? now;
  return {
    patch: {
      ...names,
      askedAt,
      error: null,
      lastSeenAt: now,
      unreachableSince: null,
      ...toAccepted(isDone, now),
    },
  };
}

/** Whether a dispatch is still waiting for the response to this request. */
export function isOutstanding(dispatch: Dispatch, { askedAt }: FailedRequest): boolean {
  return dispatch.state === "pending" && dispatch.askedAt !== null && dispatch.askedAt === askedAt;
}

/** Schedules the request again: it did not arrive, or was refused temporarily. */
export function postpone(dispatch: Dispatch, request: FailedRequest, waitMs: number): Change {
  if (!isOutstanding(dispatch, request)) return {};
  return {
    patch: { askedAt: null, error: request.message },
    next: { kind: "request", waitMs: Math.round(waitMs) },
  };
}

export function reduceSearched(
  dispatch: Dispatch,
  [training, ...others]: readonly Training[],
  context: DispatchContext,
): Change {
  if (!training) return reduceNotFound(dispatch, context);
  if (isTerminal(dispatch.state) || dispatch.askedAt === null) return {};
  const extraRuns = others.map(({ externalId }) => externalId);
  const isNew = dispatch.state === "pending" || dispatch.state === "unknown" || dispatch.externalId === null;
  const { now } = context;
  return {
    patch: {
      ...(isNew
        ? {
            state: dispatch.state === "running" ? "running" : "sent",
            externalId: training.externalId,
            url: training.url,
            statusUrl: training.statusUrl ?? dispatch.statusUrl,
            error: null,
            lastSeenAt: now,
            unreachableSince: null,
          }
        : {}),
      ...(extraRuns.length > dispatch.extraRuns.length
        ? { externalId: training.externalId, url: training.url, extraRuns }
        : {}),
    },
    next: context.trainer.runsHere ? { kind: "run", waitMs: 0 } : { kind: "poll", waitMs: 0 },
  };
}

const NOT_FOUND = "The trainer lists no training with this run's id";

function reduceNotFound(dispatch: Dispatch, context: DispatchContext): Change {
  const { now, limits } = context;
  if (isTerminal(dispatch.state)) return {};
  if (dispatch.state === "pending") {
    if (dispatch.askedAt === null) return {};
    const why = dispatch.error ?? WORKER_ENDED;
    if (now - dispatch.askedAt >= limits.searchMs)
      return {
        patch: {
          state: "unknown",
          error: `${why}; the trainer lists no training with this run's id`,
        },
      };
    return {
      next: { kind: "search", waitMs: searchPause(now - dispatch.askedAt, limits) },
      note: `${why}; searching for the training`,
    };
  }
  if (dispatch.state !== "unknown" && isFollowable(dispatch, context.trainer))
    return { next: { kind: "poll", waitMs: 0 } };
  return reduceNoContact(dispatch, NOT_FOUND, null, context);
}

export function reduceUnavailable(
  dispatch: Dispatch,
  { message, waitMs }: { message: string; waitMs: number | null },
  context: DispatchContext,
): Change {
  if (dispatch.state !== "pending") return reduceNoContact(dispatch, message, waitMs, context);
  const { now, limits } = context;
  if (dispatch.askedAt === null) return {};
  const why = dispatch.error ?? WORKER_ENDED;
  const requestedAgoMs = now - dispatch.askedAt;
  if (requestedAgoMs >= limits.searchMs * UNAVAILABLE_FACTOR)
    return {
      patch: { state: "unknown", error: `${why}; the search for the training failed: ${message}` },
    };
  return {
    next: { kind: "search", waitMs: Math.max(searchPause(requestedAgoMs, limits), waitMs ?? 0) },
    note: `${why}; ${message}`,
  };
}

/** The pauses grow with the elapsed time; the last search coincides with the limit. */
function searchPause(requestedAgoMs: number, { searchMs }: DispatchLimits): number {
  return Math.round(
    Math.min(clamp(requestedAgoMs / 2, 1_000, MINUTE_MS), Math.max(1_000, searchMs - requestedAgoMs)),
  );
}

/** While the trainer is unreachable, the search may take this many times longer. */
const UNAVAILABLE_FACTOR = 12;

const WORKER_ENDED = "The worker stopped during the request";
