import { CANCELLATIONS, type Dispatch, type DispatchPatch, isOver, type Training } from "./dispatch.ts";
import { reduceNoContact } from "./following.ts";
import { clamp, isFollowable, isPastLimit, MINUTE_MS, planNext } from "./plan.ts";
import type { Change, DispatchContext, DispatchInput, DispatchLimits, Unaccepted } from "./transition.ts";

/** The training that a person names. */
export function confirm(
  { externalId, statusUrl = null, isDone = false }: Extract<DispatchInput, { kind: "confirm" }>,
  { now }: DispatchContext,
): DispatchPatch {
  const named = { externalId, statusUrl, reason: null, error: null, heardAt: now, silentSince: null };
  return { ...named, ...toAccepted(isDone, now) };
}

export function isConfirmable({ state, externalId, askedAt }: Dispatch): boolean {
  if (askedAt === null) return false;
  return state === "unknown" || ((state === "pending" || state === "sent") && externalId === null);
}

/** The state of an accepted request. If nothing more will ever be known, acceptance is its end. */
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
  heardAt: null,
  silentSince: null,
  error: null,
  externalId: null,
  url: null,
  statusUrl: null,
};

/** The job has already waited out its delay, so the next step is due now. */
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
  "The request in retraining_dispatches is not the one that the settings give, so it was not sent: somebody changed the row.\nFind out who may write to retraining_dispatches; the model's next decision renders a new request";

export function reduceAccepted(
  dispatch: Dispatch,
  { training, isDone = false }: { training: Training | null; isDone?: boolean },
  { now }: DispatchContext,
): Change {
  // Callbacks may have come before this response: keep what they reported, and add only what is missing.
  const names = {
    externalId: dispatch.externalId ?? training?.externalId ?? null,
    url: dispatch.url ?? training?.url ?? null,
    statusUrl: dispatch.statusUrl ?? training?.statusUrl ?? null,
  };
  if (dispatch.state !== "pending" && dispatch.state !== "unknown") return { patch: names };
  // A late response still counts, even if the request was given up in the meantime.
  const askedAt = dispatch.askedAt ?? now;
  return {
    patch: { ...names, askedAt, error: null, heardAt: now, silentSince: null, ...toAccepted(isDone, now) },
  };
}

/** Whether a dispatch is still waiting for the response to this very request. */
export function isOutstanding(dispatch: Dispatch, { askedAt }: Unaccepted): boolean {
  return dispatch.state === "pending" && dispatch.askedAt !== null && dispatch.askedAt === askedAt;
}

/** The request did not arrive, or was refused for now, so it may be sent again. */
export function postpone(dispatch: Dispatch, request: Unaccepted, waitMs: number): Change {
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
  if (isOver(dispatch.state) || dispatch.askedAt === null) return {};
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
            heardAt: now,
            silentSince: null,
          }
        : {}),
      ...(extraRuns.length > dispatch.extraRuns.length
        ? { externalId: training.externalId, url: training.url, extraRuns }
        : {}),
    },
    next: context.trainer.runsHere ? { kind: "run", waitMs: 0 } : { kind: "follow", waitMs: 0 },
  };
}

const NOT_FOUND = "The trainer shows no training under this run's id";

function reduceNotFound(dispatch: Dispatch, context: DispatchContext): Change {
  const { now, limits } = context;
  if (isOver(dispatch.state)) return {};
  if (dispatch.state === "pending") {
    if (dispatch.askedAt === null) return {};
    const why = dispatch.error ?? WORKER_ENDED;
    if (now - dispatch.askedAt >= limits.searchMs)
      return {
        patch: {
          state: "unknown",
          error: `${why}; the trainer knows of no training under this run's id`,
        },
      };
    return {
      next: { kind: "search", waitMs: searchPause(now - dispatch.askedAt, limits) },
      note: `${why}; looking for the training`,
    };
  }
  if (dispatch.state !== "unknown" && isFollowable(dispatch, context.trainer))
    return { next: { kind: "follow", waitMs: 0 } };
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
  const askedAgoMs = now - dispatch.askedAt;
  if (askedAgoMs >= limits.searchMs * UNAVAILABLE_FACTOR)
    return {
      patch: { state: "unknown", error: `${why}; the trainer could not be asked for it: ${message}` },
    };
  return {
    next: { kind: "search", waitMs: Math.max(searchPause(askedAgoMs, limits), waitMs ?? 0) },
    note: `${why}; ${message}`,
  };
}

/** Pauses grow with the time elapsed; the last search comes when the limit is reached. */
function searchPause(askedAgoMs: number, { searchMs }: DispatchLimits): number {
  return Math.round(
    Math.min(clamp(askedAgoMs / 2, 1_000, MINUTE_MS), Math.max(1_000, searchMs - askedAgoMs)),
  );
}

/** While the trainer is unreachable, the search may take this many times longer. */
const UNAVAILABLE_FACTOR = 12;

const WORKER_ENDED = "The worker ended while it asked";
