import { z } from "zod";

/**
 * Where a dispatch stands. `pending`: recorded, and either not requested yet or requested with its answer lost and searched
 * for; `sent`: the trainer accepted it; `unknown`: the answer was lost and no training was found; `rejected`: the trainer
 * refused it; `cancelled`: not requested after all, or the training was stopped. The rest is the training's own.
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

/** Why a dispatch came to its state, where the state alone does not say. Programs branch on it; people read `error`. */
export const DispatchReason = z.enum([
  /** Cancelled before the request: its evidence was too old by then. */
  "evidence_too_old",
  /** Cancelled before the request: another training was requested since its evidence was gathered. */
  "training_requested",
  /** Cancelled before the request: the settings that the recorded request was rendered from have changed. */
  "settings_changed",
  /** Rejected by Retrigger: the recorded request is not the one that the settings give. */
  "request_tampered",
  /** Failed because nothing was heard of the training for too long. */
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
  /** Why it was refused, is unknown, or ended badly; with what to do about it. */
  error: z.string().nullable(),
  /** When the trainer was asked, ISO 8601; null if it was not, and for the mock. */
  askedAt: z.string().nullable().default(null),
});
export type DispatchOutcome = z.infer<typeof DispatchOutcome>;

/** A training, as its trainer names it. */
export interface Training {
  externalId: string;
  url: string | null;
  /** Where its status can be read; null if the id is enough. */
  statusUrl: string | null;
}

/** A training's status in the trainer's own words; `completed` is the one status that is an end. */
export interface TrainingStatus {
  status: string;
  conclusion: string | null;
  attempt: number | null;
  url: string | null;
  durationSeconds: number | null;
}

/** A dispatch as its row stores it. Times are Unix milliseconds on the database's clock. */
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
  /** For people: why it was refused, is unknown or ended badly, and what to do about it. */
  error: string | null;
  createdAt: number;
  /** When the trainer was asked; null as long as nothing can have arrived there. */
  askedAt: number | null;
  /** The last sign of life. */
  heardAt: number | null;
  /** Since when every attempt to hear of it has failed. */
  silentSince: number | null;
  startedAt: number | null;
  endedAt: number | null;
}

export type DispatchPatch = Partial<Omit<Dispatch, "createdAt">>;

/** What a trainer can and cannot do. */
export interface TrainerTraits {
  /** A training is followed by its id (GitHub); otherwise by a status URL, if there is one. */
  followsById: boolean;
  /** Outcomes may be reported to us, and be in the row before anyone asks (webhook callbacks). */
  reportsOutcomes: boolean;
  /** The training runs inside a worker (a local program). */
  runsHere: boolean;
}

export interface DispatchLimits {
  /** How long a request whose answer was lost is searched for before it is left to a person. */
  searchMs: number;
  /** Pause between two looks at a training. */
  pollMs: number;
  /** A training that was not heard of for so long counts as lost. */
  lostAfterMs: number;
}

export interface DispatchContext {
  now: number;
  limits: DispatchLimits;
  trainer: TrainerTraits;
  /** Until when the alerts of a training that failed at `endedAt` are held back; null for not at all. */
  findAlertsBackAt?: (endedAt: number) => number | null;
}

/** What happened to a dispatch. */
export type DispatchInput =
  /** A worker begins, or begins again, to work on it. */
  | { kind: "opened" }
  /** The recorded request is not the one that the settings give. */
  | { kind: "request_differs"; haveSettingsChanged: boolean }
  /** The trainer accepted; null if it does not say under which id. `isDone`: accepting is all that is ever known. */
  | { kind: "accepted"; training: Training | null; isDone?: boolean }
  | ({ kind: "refused" } & Unaccepted)
  /** The request certainly never arrived. */
  | ({ kind: "not_sent" } & Unaccepted)
  | ({ kind: "rate_limited"; waitMs: number | null } & Unaccepted)
  /** The request may have arrived. */
  | ({ kind: "answer_lost" } & Unaccepted)
  /** The trainings that the trainer has under this key, the one that counts first. */
  | { kind: "searched"; trainings: readonly Training[] }
  /** The trainer cannot be asked now; nothing follows from that for the training. */
  | { kind: "unavailable"; message: string; waitMs: number | null }
  | { kind: "unchanged" }
  /** `runs`: the list of runs under this key, if the trainer keeps one; needed to believe an end. */
  | ({ kind: "seen"; runs: readonly Training[] | null } & TrainingStatus)
  /** A signed callback. */
  | ({ kind: "reported" } & TrainingStatus)
  | { kind: "gone"; message: string }
  | { kind: "nothing_to_ask" }
  | { kind: "run_started" }
  | { kind: "run_ended"; conclusion: string; message: string | null; durationSeconds: number | null }
  /** A person's `dispatch retry`, after a refusal. */
  | { kind: "retry" }
  /** A person's `dispatch resend`, after checking that an unknown dispatch started nothing. */
  | { kind: "resend" }
  /** A person's `dispatch confirm`: which training an unknown dispatch started. */
  | { kind: "confirm"; externalId: string };

/** What became of the one request that was made at `askedAt`; of a later one it says nothing. */
interface Unaccepted {
  askedAt: number | null;
  message: string;
}

/** What follows from a state. Each is idempotent: done twice, it does the same. */
export type DispatchEffect =
  | "announce_request"
  | "announce_unknown"
  | "announce_extra_runs"
  | "announce_end"
  /** See to it that the training is followed to its end, and its end reported. */
  | "follow"
  /** The model may be free again: re-evaluate it if its latest decision waited for this. */
  | "release"
  /** The decision came to nothing: re-evaluate the model. */
  | "reevaluate";

/** What to do with the trainer next, and in how many milliseconds. */
export type DispatchStep =
  | { kind: "request" | "search" | "run"; waitMs: number }
  /** `isFresh`: ask without the last ETag, because what it stands for was not written down. */
  | { kind: "follow"; waitMs: number; isFresh?: boolean }
  | { kind: "done" };

export interface Advance {
  /** Columns to write; empty if nothing changed. */
  patch: DispatchPatch;
  effects: DispatchEffect[];
  next: DispatchStep;
  /** Why nothing was heard, for the job's log. */
  note?: string;
}

/** A trainer that cannot be asked is searched so many times longer, because nothing follows from its silence. */
const UNAVAILABLE_FACTOR = 12;
const MINUTE_MS = 60_000;
const LONGEST_PAUSE_MS = 10 * MINUTE_MS;
const WORKER_ENDED = "The worker ended while it asked";

/**
 * The state machine of a dispatch: pure, with the time as an argument. The caller reads the row, asks the trainer, reduces
 * the answer, and writes the patch only if the row has not changed since; otherwise it reads and reduces again.
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
  /** Nothing more is expected of it, although its state is no end. */
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
      return silence(dispatch, input.message, null, context);
    case "nothing_to_ask":
      return silence(dispatch, "The trainer has not reported the outcome", LONGEST_PAUSE_MS, context);
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
      return isConfirmable(dispatch)
        ? {
            patch: {
              state: "sent",
              externalId: input.externalId,
              error: null,
              heardAt: context.now,
              silentSince: null,
            },
          }
        : {};
    default:
      return input satisfies never;
  }
}

/** As a dispatch stands before it is requested for the first time. */
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

/** A worker that begins has waited already: what is due, is due now. */
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

/** What people read about a dispatch that was cancelled before its request. */
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
  // What callbacks reported before the answer came stands; only what they did not say is added.
  const names = {
    externalId: dispatch.externalId ?? training?.externalId ?? null,
    url: dispatch.url ?? training?.url ?? null,
    statusUrl: dispatch.statusUrl ?? training?.statusUrl ?? null,
  };
  if (dispatch.state !== "pending" && dispatch.state !== "unknown") return { patch: names };
  // An answer that came so late that the request was given up meanwhile is an answer all the same.
  const askedAt = dispatch.askedAt ?? now;
  const accepted = { ...names, askedAt, error: null, heardAt: now, silentSince: null };
  return isDone
    ? {
        patch: {
          ...accepted,
          state: "succeeded",
          status: "completed",
          conclusion: "accepted",
          startedAt: now,
          endedAt: now,
        },
      }
    : { patch: { ...accepted, state: "sent" } };
}

/** Whether a dispatch still waits for the answer to this very request. */
function isOutstanding(dispatch: Dispatch, { askedAt }: Unaccepted): boolean {
  return dispatch.state === "pending" && dispatch.askedAt !== null && dispatch.askedAt === askedAt;
}

/** The request did not arrive, or was refused for now, so that it may be sent again. */
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
  return silence(dispatch, NOT_FOUND, null, context);
}

function reduceUnavailable(
  dispatch: Dispatch,
  { message, waitMs }: { message: string; waitMs: number | null },
  context: DispatchContext,
): Change {
  if (dispatch.state !== "pending") return silence(dispatch, message, waitMs, context);
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

/** The pauses grow with the time that has passed; the last search is after all of it. */
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
  // An end is believed only once the list of runs is known: of two runs for one request the older one trains, and the other
  // one leaves at once. The list may lag.
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

/** An end stands, unless the training was only taken for lost, or this is a later attempt of it. */
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

/** A sign of life is written down now and then, so that whoever weighs the model knows that the training lives. */
function heartbeat(dispatch: Dispatch, { now, limits }: DispatchContext): DispatchPatch {
  if (isOver(dispatch.state)) return {};
  const isDue = now - lastSign(dispatch) >= limits.lostAfterMs / 4;
  return isDue || dispatch.silentSince !== null ? { heardAt: now, silentSince: null } : {};
}

/** Nothing was heard. That means nothing for a while, and after too long it is an end of its own. */
function silence(dispatch: Dispatch, why: string, waitMs: number | null, context: DispatchContext): Change {
  const { now, limits } = context;
  if (isOver(dispatch.state)) return { next: planNext(dispatch, context, limits.pollMs) };
  const silentSince = dispatch.silentSince ?? now;
  const patch = { silentSince };
  const silentMs = now - lastSign(dispatch);
  // A worker that begins after a day off does not take its first failed look for the end.
  if (silentMs >= limits.lostAfterMs && now - silentSince >= graceMs(limits.lostAfterMs))
    return giveUp(dispatch, `Nothing was heard of it for ${Math.round(silentMs / 1000)} s. ${why}`, context);
  // Growing pauses, and a look when it is time to give up.
  const pauseMs = Math.max(waitMs ?? 0, limits.pollMs, Math.min(silentMs / 4, LONGEST_PAUSE_MS));
  const toLimitMs = Math.max(limits.lostAfterMs - silentMs, graceMs(limits.lostAfterMs)) + 1_000;
  const { kind } = planNext(dispatch, context, limits.pollMs);
  return { patch, next: { kind, waitMs: Math.round(Math.min(pauseMs, toLimitMs)) }, note: why };
}

/** A training that can be followed is lost; of one that was never seen, only a person can say whether it started. */
function giveUp(dispatch: Dispatch, error: string, { now, trainer }: DispatchContext): Change {
  if (dispatch.state === "unknown") return { next: { kind: "done" }, isGivenUp: true };
  if (!isFollowable(dispatch, trainer))
    return { patch: { state: "unknown", error }, next: { kind: "done" }, isGivenUp: true };
  return { patch: { state: "failed", reason: "lost", conclusion: "lost", error, endedAt: now } };
}

/** How much longer than the limit a worker may take to give a silent training up. */
function graceMs(lostAfterMs: number): number {
  return Math.min(LONGEST_PAUSE_MS, lostAfterMs / 4);
}

/**
 * How long after its last sign of life a training holds its model, in milliseconds: a little longer than a worker waits that
 * follows it, so that the end is recorded first if a worker is there to record it.
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

/** Until its alerts may start another training, a failed one is watched: a person may run it again. */
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
  // The last look is just before another training may start.
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

/** What follows from the state of a dispatch, however it came to it. */
export function effectsOf(dispatch: Dispatch): DispatchEffect[] {
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
      return ["announce_request", "follow", ...effects, "announce_end", "release"];
    case "cancelled":
      return isUnrequested(dispatch)
        ? ["reevaluate"]
        : ["announce_request", "follow", ...effects, "announce_end", "release"];
    default:
      return dispatch.state satisfies never;
  }
}

/** Whether a dispatch was cancelled before the trainer was asked. */
export function isUnrequested({ state, reason }: Pick<Dispatch, "state" | "reason">): boolean {
  return state === "cancelled" && reason !== null && reason in CANCELLATIONS;
}

/** What a model's latest decision says, as far as the end of a training needs it. */
export interface LatestDecision {
  /** When its snapshot was taken, Unix milliseconds. */
  takenAt: number | null;
  /** Whether `training_in_flight` is among its reasons. */
  isHeldByTraining: boolean;
}

/** A snapshot may be a little younger than an end, and still not show it. */
const SNAPSHOT_MARGIN_MS = 60_000;

/**
 * Whether the end of a training calls for a re-evaluation of its model. Yes, if the latest decision waited for it; and after
 * a failure that no decision has seen yet, so that one records when its alerts come back. Never after a success that nothing
 * waited for: without the re-trigger guard, that would train for ever.
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
 * The state that a trainer's words stand for. Both are GitHub's, which are plain strings and grow in number: only `completed`
 * is an end, and of the ends only `success` is a success.
 */
export function stateOfTraining(status: string, conclusion: string | null): DispatchState {
  if (status !== "completed") return status === "in_progress" ? "running" : "sent";
  if (conclusion === "success") return "succeeded";
  return conclusion === "cancelled" ? "cancelled" : "failed";
}

/** Whether a dispatch in this state has come to its end; some ends may still be revised. */
export function isOver(state: DispatchState): boolean {
  return ["succeeded", "failed", "cancelled", "rejected"].includes(state);
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
