import { z } from "zod";

/**
 * The state of a dispatch. `pending`: recorded, and either not requested yet or being searched for because the response was
 * lost; `sent`: accepted by the trainer; `unknown`: the response was lost and no training was found; `rejected`: refused;
 * `cancelled`: never requested, or the training was stopped. The other states are those of the training.
 */
export const DispatchState = z.enum([
  "pending",
  "sent",
  "unknown",
  "rejected",
  "running",
  "succeeded",
  "failed",
  "cancelled",
]);
export type DispatchState = z.infer<typeof DispatchState>;

/** Why a dispatch is in its state, if the state alone does not say. Programs branch on it; people read `error`. */
export const DispatchReason = z.enum([
  /** Cancelled before the request: its evidence had become too old. */
  "evidence_too_old",
  /** Cancelled before the request: another training was requested after its evidence was gathered. */
  "training_requested",
  /** Cancelled before the request: the settings that the recorded request was rendered from have changed. */
  "settings_changed",
  /** Rejected by Retrigger: the recorded request differs from the one rendered from the settings. */
  "request_tampered",
  /** Failed because the training gave no sign of life for too long. */
  "lost",
]);
export type DispatchReason = z.infer<typeof DispatchReason>;

/** A dispatch as results and reports show it. */
export const DispatchOutcome = z.object({
  state: DispatchState,
  reason: DispatchReason.nullable().default(null),
  /** The training's id with its trainer. */
  externalId: z.string().nullable(),
  url: z.string().nullable(),
  /** Why it was rejected, is unknown or failed, and what to do about it. */
  error: z.string().nullable(),
  /** When the training was requested, ISO 8601; null if it never was, and for the mock trainer. */
  askedAt: z.string().nullable().default(null),
});
export type DispatchOutcome = z.infer<typeof DispatchOutcome>;

/** How a trainer identifies a training. */
export interface Training {
  externalId: string;
  url: string | null;
  /** Where its status can be read; null if the id is enough. */
  statusUrl: string | null;
}

/** A training's status in the trainer's own words; `completed` is the only final status. */
export interface TrainingStatus {
  status: string;
  conclusion: string | null;
  attempt: number | null;
  url: string | null;
  durationSeconds: number | null;
}

/** A dispatch as stored in its row. Times are Unix milliseconds on the database's clock. */
export interface Dispatch {
  state: DispatchState;
  reason: DispatchReason | null;
  externalId: string | null;
  url: string | null;
  statusUrl: string | null;
  status: string | null;
  conclusion: string | null;
  attempt: number | null;
  durationSeconds: number | null;
  /** Further runs that the trainer started for the one request. */
  extraRuns: readonly string[];
  /** For people: why it was rejected, is unknown or failed, and what to do about it. */
  error: string | null;
  createdAt: number;
  /** When the training was requested; null while no request can have reached the trainer. */
  askedAt: number | null;
  /** The last sign of life. */
  heardAt: number | null;
  /** Since when every attempt to read its status has failed. */
  silentSince: number | null;
  startedAt: number | null;
  endedAt: number | null;
}

export type DispatchPatch = Partial<Omit<Dispatch, "createdAt">>;

/** What a trainer can and cannot do. */
export interface TrainerTraits {
  /** A training is followed by its id (GitHub); otherwise by a status URL, if there is one. */
  followsById: boolean;
  /** The trainer may report outcomes by itself, so the row can change between two polls (webhook callbacks). */
  reportsOutcomes: boolean;
  /** The training runs inside a worker (a local program). */
  runsHere: boolean;
}

export interface DispatchLimits {
  /** How long to search for the training of a request whose response was lost, before a person has to decide. */
  searchMs: number;
  /** Pause between two polls of a training. */
  pollMs: number;
  /** A training that gives no sign of life for this long counts as lost. */
  lostAfterMs: number;
}

export interface DispatchContext {
  now: number;
  limits: DispatchLimits;
  trainer: TrainerTraits;
  /** Until when the alerts of a training that failed at `endedAt` are held back; null if they are not. */
  findAlertsBackAt?: (endedAt: number) => number | null;
}

/** What happened to a dispatch. */
export type DispatchInput =
  /** A worker starts or resumes work on it. */
  | { kind: "opened" }
  /** The recorded request differs from the one rendered from the settings. */
  | { kind: "request_differs"; haveSettingsChanged: boolean }
  /** The trainer accepted; `training` is null if it returned no id. `isDone`: nothing more will ever be known. */
  | { kind: "accepted"; training: Training | null; isDone?: boolean }
  | ({ kind: "refused" } & Unaccepted)
  /** The request certainly never arrived. */
  | ({ kind: "not_sent" } & Unaccepted)
  | ({ kind: "rate_limited"; waitMs: number | null } & Unaccepted)
  /** The request may have arrived. */
  | ({ kind: "answer_lost" } & Unaccepted)
  /** The trainings that the trainer lists under this key; the first one counts. */
  | { kind: "searched"; trainings: readonly Training[] }
  /** The trainer cannot be reached, which says nothing about the training. */
  | { kind: "unavailable"; message: string; waitMs: number | null }
  | { kind: "unchanged" }
  /** `runs`: the runs under this key, if the trainer lists them; an end is not accepted without them. */
  | ({ kind: "seen"; runs: readonly Training[] | null } & TrainingStatus)
  /** A signed callback. */
  | ({ kind: "reported" } & TrainingStatus)
  | { kind: "gone"; message: string }
  | { kind: "nothing_to_ask" }
  | { kind: "run_started" }
  | { kind: "run_ended"; conclusion: string; message: string | null; durationSeconds: number | null }
  /** Manual: `dispatch retry` of a rejected dispatch. */
  | { kind: "retry" }
  /** Manual: `dispatch resend`, after a person checked that an unknown dispatch started nothing. */
  | { kind: "resend" }
  /** Manual: `dispatch confirm` names the training that an unknown dispatch started. */
  | { kind: "confirm"; externalId: string; statusUrl?: string | null; isDone?: boolean };

/** What became of the request made at `askedAt`, and of no later one. */
interface Unaccepted {
  askedAt: number | null;
  message: string;
}

/** The side effects of a state. Each is idempotent. */
export type DispatchEffect =
  | "announce_request"
  | "announce_unknown"
  | "announce_extra_runs"
  | "announce_end"
  /** Make sure that a job follows the training to its end and reports it. */
  | "follow"
  /** The model may be free again: re-evaluate it if its latest decision was waiting for this. */
  | "release"
  /** The decision had no effect: re-evaluate the model. */
  | "reevaluate";

/** The next step with the trainer, and the delay before it. */
export type DispatchStep =
  | { kind: "request" | "search" | "run"; waitMs: number }
  /** `isFresh`: poll without the last ETag, because the status that it stands for was not recorded. */
  | { kind: "follow"; waitMs: number; isFresh?: boolean }
  | { kind: "done" };

export interface Advance {
  /** Columns to write; empty if nothing changed. */
  patch: DispatchPatch;
  effects: DispatchEffect[];
  next: DispatchStep;
  /** Why the status could not be read, for the job's log. */
  note?: string;
}

/** While the trainer is unreachable, the search may take this many times longer. */
const UNAVAILABLE_FACTOR = 12;
const MINUTE_MS = 60_000;
const LONGEST_PAUSE_MS = 10 * MINUTE_MS;
const WORKER_ENDED = "The worker ended while it asked";

/**
 * The state machine of a dispatch: pure, with the time as an argument. The caller reads the row, calls the trainer, reduces
 * the response and writes the patch only if the row has not changed since; otherwise it rereads and reduces again.
 */
export function advance(dispatch: Dispatch, input: DispatchInput, context: DispatchContext): Advance {
  const change = reduce(dispatch, input, context);
  const patch = dropUnchanged(dispatch, change.patch ?? {});
  const after = { ...dispatch, ...patch };
  const hasMoved = input.kind === "opened" || after.state !== dispatch.state || isNewEnd(dispatch, after);
  const effects = hasMoved ? effectsOf(after) : [];
  if (after.extraRuns.length > dispatch.extraRuns.length && !effects.includes("announce_extra_runs"))
    effects.push("announce_extra_runs");
  if (change.isGivenUp && !effects.includes("release")) effects.push("release");
  const next = change.next ?? planNext(after, context, context.limits.pollMs);
  return { patch, effects, next, ...(change.note === undefined ? {} : { note: change.note }) };
}

interface Change {
  patch?: DispatchPatch;
  next?: DispatchStep;
  note?: string;
  /** Nothing more is expected of it, although its state is not terminal. */
  isGivenUp?: boolean;
}

function reduce(dispatch: Dispatch, input: DispatchInput, context: DispatchContext): Change {
  switch (input.kind) {
    case "opened":
      return reduceOpened(dispatch, context);
    case "request_differs":
      return reduceDifference(dispatch, input.haveSettingsChanged);
    case "accepted":
      return reduceAccepted(dispatch, input, context);
    case "refused":
      return isOutstanding(dispatch, input) ? { patch: { state: "rejected", error: input.message } } : {};
    case "not_sent":
      return postpone(dispatch, input, clamp(context.now - dispatch.createdAt, 250, 30_000));
    case "rate_limited":
      return postpone(dispatch, input, input.waitMs ?? Math.max(MINUTE_MS, context.now - dispatch.createdAt));
    case "answer_lost":
      return isOutstanding(dispatch, input)
        ? { patch: { error: input.message }, next: { kind: "search", waitMs: 0 } }
        : {};
    case "searched":
      return reduceSearched(dispatch, input.trainings, context);
    case "unavailable":
      return reduceUnavailable(dispatch, input, context);
    case "unchanged":
      return { patch: heartbeat(dispatch, context) };
    case "seen":
      return reduceSeen(dispatch, input, context);
    case "reported":
      return mayBecome(dispatch, input) ? { patch: toProgress(dispatch, input, context) } : {};
    case "gone":
      return reduceNoContact(dispatch, input.message, null, context);
    case "nothing_to_ask":
      return reduceNoContact(dispatch, "The trainer has not reported the outcome", LONGEST_PAUSE_MS, context);
    case "run_started":
      return dispatch.state === "sent"
        ? { patch: { state: "running", status: "in_progress", startedAt: context.now, heardAt: context.now } }
        : {};
    case "run_ended":
      return reduceRunEnded(dispatch, input, context);
    case "retry":
      return dispatch.state === "rejected" ? { patch: REOPENED } : {};
    case "resend":
      return dispatch.state === "unknown" ? { patch: REOPENED } : {};
    case "confirm":
      return isConfirmable(dispatch) ? { patch: confirm(input, context) } : {};
    default:
      return input satisfies never;
  }
}

/** The training that a person names. */
function confirm(
  { externalId, statusUrl = null, isDone = false }: Extract<DispatchInput, { kind: "confirm" }>,
  { now }: DispatchContext,
): DispatchPatch {
  const named = { externalId, statusUrl, reason: null, error: null, heardAt: now, silentSince: null };
  return { ...named, ...toAccepted(isDone, now) };
}

/** The state of an accepted request. If nothing more will ever be known, acceptance is its end. */
function toAccepted(isDone: boolean, now: number): DispatchPatch {
  return isDone
    ? { state: "succeeded", status: "completed", conclusion: "accepted", startedAt: now, endedAt: now }
    : { state: "sent" };
}

/** Resets a dispatch to its state before the first request. */
const REOPENED: DispatchPatch = {
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
function reduceOpened(dispatch: Dispatch, context: DispatchContext): Change {
  if (dispatch.state === "unknown" && isPastLimit(dispatch, context))
    return { next: { kind: "done" }, isGivenUp: true };
  return { next: planNext(dispatch, context, 0) };
}

function reduceDifference(dispatch: Dispatch, haveSettingsChanged: boolean): Change {
  if (dispatch.state !== "pending" || dispatch.askedAt !== null) return {};
  return {
    patch: haveSettingsChanged
      ? { state: "cancelled", reason: "settings_changed", error: CANCELLATIONS.settings_changed }
      : { state: "rejected", reason: "request_tampered", error: TAMPERED },
  };
}

/** The message for each reason to cancel a dispatch before its request. */
export const CANCELLATIONS = {
  evidence_too_old: "Not asked for: the evidence was too old by then",
  training_requested: "Not asked for: another training was asked for since its evidence was gathered",
  settings_changed: "Not asked for: the trainer's settings have changed since the decision",
} as const;
export type Cancellation = keyof typeof CANCELLATIONS;

const TAMPERED =
  "The request in retraining_dispatches is not the one that the settings give, so it was not sent: somebody changed the row.\nFind out who may write to retraining_dispatches; the model's next decision renders a new request";

function reduceAccepted(
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
function isOutstanding(dispatch: Dispatch, { askedAt }: Unaccepted): boolean {
  return dispatch.state === "pending" && dispatch.askedAt !== null && dispatch.askedAt === askedAt;
}

/** The request did not arrive, or was refused for now, so it may be sent again. */
function postpone(dispatch: Dispatch, request: Unaccepted, waitMs: number): Change {
  if (!isOutstanding(dispatch, request)) return {};
  return {
    patch: { askedAt: null, error: request.message },
    next: { kind: "request", waitMs: Math.round(waitMs) },
  };
}

function reduceSearched(
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

function reduceUnavailable(
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

function reduceSeen(
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
  if (seen.runs === null || !isOver(stateOfTraining(seen.status, seen.conclusion)))
    return { patch: progress };
  // Accept an end only once the list of runs is known: if one request started two runs, the older one trains and the other
  // exits at once. The list may lag.
  const fresh = { kind: "follow", waitMs: limits.pollMs, isFresh: true } as const;
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
        heardAt: now,
        ...(hasMore ? { extraRuns } : {}),
      },
      next: { ...fresh, waitMs: 0 },
    };
  return { patch: { ...progress, ...(hasMore ? { extraRuns } : {}) } };
}

/** An end is final, unless the training was only presumed lost or this is a later attempt of it. */
function mayBecome(dispatch: Dispatch, { attempt }: Pick<TrainingStatus, "attempt">): boolean {
  if (dispatch.askedAt === null) return false;
  if (!isOver(dispatch.state)) return true;
  if (dispatch.state === "rejected" || dispatch.state === "succeeded" || dispatch.endedAt === null)
    return false;
  return dispatch.reason === "lost" || (attempt ?? 0) > (dispatch.attempt ?? 0);
}

function toProgress(dispatch: Dispatch, seen: TrainingStatus, { now }: DispatchContext): DispatchPatch {
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
    heardAt: now,
    silentSince: null,
    startedAt: dispatch.startedAt ?? (state === "sent" ? null : now),
    endedAt: isOver(state) ? now : null,
  };
}

function reduceRunEnded(
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
      heardAt: now,
      endedAt: now,
    },
  };
}

/** Records a sign of life now and then, so that evaluations know that the training is alive. */
function heartbeat(dispatch: Dispatch, { now, limits }: DispatchContext): DispatchPatch {
  if (isOver(dispatch.state)) return {};
  const isDue = now - lastSign(dispatch) >= limits.lostAfterMs / 4;
  return isDue || dispatch.silentSince !== null ? { heardAt: now, silentSince: null } : {};
}

/** There was no sign of life. For a while that means nothing; past the limit, the training is given up. */
function reduceNoContact(
  dispatch: Dispatch,
  why: string,
  waitMs: number | null,
  context: DispatchContext,
): Change {
  const { now, limits } = context;
  if (isOver(dispatch.state)) return { next: planNext(dispatch, context, limits.pollMs) };
  const silentSince = dispatch.silentSince ?? now;
  const patch = { silentSince };
  const silentMs = now - lastSign(dispatch);
  // After an outage of our own, the first failed poll must not end the training.
  if (silentMs >= limits.lostAfterMs && now - silentSince >= graceMs(limits.lostAfterMs))
    return giveUp(dispatch, `Nothing was heard of it for ${Math.round(silentMs / 1000)} s. ${why}`, context);
  // Pauses grow, but a poll still falls on the moment to give up.
  const pauseMs = Math.max(waitMs ?? 0, limits.pollMs, Math.min(silentMs / 4, LONGEST_PAUSE_MS));
  const toLimitMs = Math.max(limits.lostAfterMs - silentMs, graceMs(limits.lostAfterMs)) + 1_000;
  const { kind } = planNext(dispatch, context, limits.pollMs);
  return { patch, next: { kind, waitMs: Math.round(Math.min(pauseMs, toLimitMs)) }, note: why };
}

/** A training that can be followed counts as lost. Otherwise only a person can say whether it started. */
function giveUp(dispatch: Dispatch, error: string, { now, trainer }: DispatchContext): Change {
  if (dispatch.state === "unknown") return { next: { kind: "done" }, isGivenUp: true };
  if (!isFollowable(dispatch, trainer))
    return { patch: { state: "unknown", error }, next: { kind: "done" }, isGivenUp: true };
  return { patch: { state: "failed", reason: "lost", conclusion: "lost", error, endedAt: now } };
}

/** How far past the limit a worker may go before it gives up a silent training. */
function graceMs(lostAfterMs: number): number {
  return Math.min(LONGEST_PAUSE_MS, lostAfterMs / 4);
}

/**
 * How long after its last sign of life a training holds its model, in milliseconds: a little longer than the worker that
 * follows it waits, so that a running worker records the end first.
 */
export function computeFlightLimitMs(lostAfterMs: number): number {
  return lostAfterMs + 2 * graceMs(lostAfterMs);
}

function isPastLimit(dispatch: Dispatch, { now, limits }: DispatchContext): boolean {
  return now - lastSign(dispatch) >= computeFlightLimitMs(limits.lostAfterMs);
}

function lastSign({ heardAt, askedAt, createdAt }: Dispatch): number {
  return heardAt ?? askedAt ?? createdAt;
}

function planNext(dispatch: Dispatch, context: DispatchContext, waitMs: number): DispatchStep {
  const { trainer } = context;
  switch (dispatch.state) {
    case "pending":
      return dispatch.askedAt === null ? { kind: "request", waitMs: 0 } : { kind: "search", waitMs };
    case "sent":
    case "running":
      if (trainer.runsHere) return { kind: "run", waitMs: 0 };
      return isFollowable(dispatch, trainer) ? { kind: "follow", waitMs } : { kind: "search", waitMs };
    case "unknown":
      return { kind: "search", waitMs };
    case "failed":
    case "cancelled":
      return planWatch(dispatch, context, waitMs);
    case "rejected":
    case "succeeded":
      return { kind: "done" };
    default:
      return dispatch.state satisfies never;
  }
}

/** A failed training is polled until its alerts may start another one, because a person may re-run it. */
function planWatch(
  dispatch: Dispatch,
  { now, limits, trainer, findAlertsBackAt }: DispatchContext,
  waitMs: number,
): DispatchStep {
  if (dispatch.endedAt === null || !trainer.followsById || dispatch.externalId === null)
    return { kind: "done" };
  const alertsBackAt = findAlertsBackAt?.(dispatch.endedAt) ?? null;
  if (alertsBackAt === null || now >= alertsBackAt) return { kind: "done" };
  if (waitMs === 0) return { kind: "follow", waitMs: 0, isFresh: true };
  const pauseMs = clamp((now - dispatch.endedAt) / 4, limits.pollMs, LONGEST_PAUSE_MS);
  // The last poll comes just before another training may start.
  const toEndMs = alertsBackAt - now - Math.min(WATCH_MARGIN_MS, limits.pollMs);
  return {
    kind: "follow",
    waitMs: Math.round(toEndMs > 0 ? Math.min(pauseMs, toEndMs) : alertsBackAt - now),
    isFresh: true,
  };
}

const WATCH_MARGIN_MS = 2_000;

function isFollowable(
  { externalId, statusUrl }: Pick<Dispatch, "externalId" | "statusUrl">,
  { followsById, reportsOutcomes }: TrainerTraits,
): boolean {
  return followsById ? externalId !== null : statusUrl !== null || reportsOutcomes;
}

function isConfirmable({ state, externalId, askedAt }: Dispatch): boolean {
  if (askedAt === null) return false;
  return state === "unknown" || ((state === "pending" || state === "sent") && externalId === null);
}

/** The side effects of a dispatch's state, however it got there. */
export function effectsOf(dispatch: Dispatch): DispatchEffect[] {
  if (isUnrequested(dispatch)) return ["reevaluate"];
  const effects: DispatchEffect[] = dispatch.extraRuns.length > 0 ? ["announce_extra_runs"] : [];
  switch (dispatch.state) {
    case "pending":
      return [];
    case "sent":
    case "running":
      return ["announce_request", "follow", ...effects];
    case "unknown":
      return ["announce_request", "announce_unknown", "follow", ...effects];
    case "rejected":
      return ["announce_request", "release"];
    case "succeeded":
    case "failed":
    case "cancelled":
      return ["announce_request", "follow", ...effects, "announce_end", "release"];
    default:
      return dispatch.state satisfies never;
  }
}

/** Whether a dispatch was cancelled before its request. */
export function isUnrequested({ state, reason }: Pick<Dispatch, "state" | "reason">): boolean {
  return state === "cancelled" && reason !== null && reason in CANCELLATIONS;
}

/** What the end of a training needs to know about the model's latest decision. */
export interface LatestDecision {
  /** When its snapshot was taken, Unix milliseconds. */
  takenAt: number | null;
  /** Whether `training_in_flight` is among its reasons. */
  isHeldByTraining: boolean;
}

/** A snapshot taken shortly after an end may not show it yet. */
const SNAPSHOT_MARGIN_MS = 60_000;

/**
 * Whether the end of a training calls for a re-evaluation of its model: yes, if the latest decision was held by a training,
 * and after a failure that no decision has seen yet, so that one records when its alerts are released. Never after a
 * success that no decision waited for: with the re-trigger guard off, that would train forever.
 */
export function callsForReevaluation(
  dispatch: Dispatch,
  latest: LatestDecision | null,
  { retriggerGuard }: { retriggerGuard: boolean },
): boolean {
  if (latest?.isHeldByTraining) return true;
  if (!retriggerGuard || dispatch.endedAt === null || dispatch.state === "succeeded") return false;
  return (latest?.takenAt ?? 0) <= dispatch.endedAt + SNAPSHOT_MARGIN_MS;
}

/**
 * Maps a trainer's status and conclusion to a state. Both use GitHub's vocabulary, an open set of strings: only `completed`
 * is final, and only `success` is a success.
 */
export function stateOfTraining(status: string, conclusion: string | null): DispatchState {
  if (status !== "completed") return status === "in_progress" ? "running" : "sent";
  if (conclusion === "success") return "succeeded";
  return conclusion === "cancelled" ? "cancelled" : "failed";
}

/** Whether the state is terminal, although some ends may still be revised. */
export function isOver(state: DispatchState): boolean {
  return ["succeeded", "failed", "cancelled", "rejected"].includes(state);
}

/** The limits as the settings give them. */
export function toDispatchLimits({
  searchMs,
  pollMs,
  lostAfterSeconds,
}: {
  searchMs: number;
  pollMs: number;
  lostAfterSeconds: number;
}): DispatchLimits {
  return { searchMs, pollMs, lostAfterMs: lostAfterSeconds * 1000 };
}

/** States in which a training may be under way, for all that is known. */
export const OPEN_STATES = ["pending", "sent", "unknown", "running"] as const;

function isNewEnd(before: Dispatch, after: Dispatch): boolean {
  return isOver(after.state) && after.endedAt !== before.endedAt;
}

function dropUnchanged(dispatch: Dispatch, patch: DispatchPatch): DispatchPatch {
  return Object.fromEntries(
    Object.entries(patch).filter(
      ([name, value]) => JSON.stringify(value) !== JSON.stringify(dispatch[name as keyof Dispatch]),
    ),
  );
}

function clamp(value: number, least: number, most: number): number {
  return Math.min(most, Math.max(least, value));
}

/** A dispatch as results and reports show it. */
export function toOutcome({ state, reason, externalId, url, error, askedAt }: Dispatch): DispatchOutcome {
  const isoTime = askedAt === null ? null : new Date(askedAt).toISOString();
  return { state, reason, externalId, url, error, askedAt: isoTime };
}
