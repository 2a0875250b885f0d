import { announceDoubles, announceEnd } from "../src/core/announce.ts";
import { computeBackoffSeconds, isEnded, stateOfTraining } from "../src/core/training.ts";
import type { ModelConfig, TrainingPatience } from "../src/config.ts";
import type { Database } from "../src/postgres/database.ts";
import type { FollowedDispatch, Progress } from "../src/postgres/dispatches.ts";
import {
  type AskedDispatch,
  type RemoteTrainer,
  type RunOptions,
  type Trainer,
  TrainerUnavailable,
} from "../src/trainers/trainer.ts";
import type { TrainingJob, TrainingNote, TrainingReport } from "../queues/jobs.ts";
import type { Notify } from "./notify.ts";

export interface TrainingDependencies {
  trainer: Trainer;
  database: Pick<Database, "readDispatch" | "recordProgress" | "recordExtraRuns" | "claimRun">;
  patience: TrainingPatience;
  /** @throws PermanentError for a model that the settings do not name. */
  findModel(model: string): ModelConfig;
  /** Asks for a run that looks at the model again. */
  lookAgain(model: string): Promise<unknown>;
  notify: Notify;
}

/** What came of one look at a training. */
export type TrainingStep =
  /** It goes on: to be looked at again after the pause, with the note. */
  | { outcome: "later"; waitMs: number; note: TrainingNote | undefined; report: TrainingReport }
  | { outcome: "ended"; report: TrainingReport };

/**
 * Looks once how a training stands, writes down what is new, and says when to look again. At its end it says so; a training
 * that failed keeps its alerts for a while, is then looked at once more (somebody may have run it again), and is followed
 * by a run that looks at the model again.
 */
export function createTraining(dependencies: TrainingDependencies) {
  const { trainer, database } = dependencies;
  return async (job: TrainingJob, options: RunOptions): Promise<TrainingStep> => {
    const dispatch = await database.readDispatch(job.runId);
    const { remote } = trainer;
    // A training of another trainer's is left to its settings.
    if (!dispatch || !remote || dispatch.trainer !== trainer.name)
      return { outcome: "ended", report: toReport(dispatch) };
    const look: Look = { ...dependencies, remote, dispatch, job, say: options.say };
    switch (dispatch.state) {
      case "pending":
        // It is being asked for; whoever does so comes back here.
        return later(look, 5_000);
      case "rejected":
        return { outcome: "ended", report: toReport(dispatch) };
      case "sent":
      case "running":
        return remote.run ? runHere(look, options) : follow(look);
      case "unknown":
        return follow(look);
      case "succeeded":
        return end(look);
      case "failed":
      case "cancelled":
        return dispatch.endedAgoMs === null
          ? { outcome: "ended", report: toReport(dispatch) }
          : lookOnceMore(look);
      default:
        return dispatch.state satisfies never;
    }
  };
}

interface Look extends TrainingDependencies {
  remote: RemoteTrainer;
  dispatch: FollowedDispatch;
  job: TrainingJob;
  say(line: string): void;
}

/** Runs it in this process, once: a worker that went while it ran took the training with it. */
async function runHere(look: Look, options: RunOptions): Promise<TrainingStep> {
  const { remote, database, dispatch, job } = look;
  if (!remote.run || !(await database.claimRun(job.runId))) {
    const error = "The worker that ran it is gone, and the training with it";
    return record(look, { ...unchanged(dispatch), state: "failed", conclusion: "lost", error });
  }
  const { conclusion, message, durationSeconds } = await remote.run(toAsked(dispatch), options);
  const state = stateOfTraining("completed", conclusion);
  return record(look, {
    ...unchanged(dispatch),
    state,
    status: "completed",
    conclusion,
    durationSeconds,
    error: message,
  });
}

async function follow(look: Look): Promise<TrainingStep> {
  try {
    const named = await findOut(look);
    return named ? await ask(named) : silence(look, "The trainer shows no training under this run's id");
  } catch (error) {
    if (!(error instanceof TrainerUnavailable)) throw error;
    return silence(look, error.message, error.waitMs);
  }
}

/**
 * Finds out which training it is, where that is not known yet, and whether the trainer started several for the one request.
 * Null where there is none to be found.
 */
async function findOut(look: Look): Promise<Look | null> {
  const { remote, database, dispatch, job } = look;
  const isKnown = dispatch.externalId !== null || dispatch.statusUrl !== null || remote.tellsByItself;
  if (isKnown && job.note?.isCounted) return look;
  const [training, ...others] = await remote.find(toAsked(dispatch));
  const counted = { ...look, job: { ...job, note: { ...noteOf(look), isCounted: true } } };
  if (!training) return isKnown ? counted : null;
  const { externalId, url } = training;
  const extraRuns = others.map((other) => other.externalId);
  let found = dispatch;
  if (!isKnown || dispatch.state === "unknown") {
    await database.recordProgress(job.runId, {
      ...unchanged(dispatch),
      state: "sent",
      externalId,
      url,
      error: null,
    });
    found = { ...found, state: "sent", externalId, url, error: null };
    look.say(`found: ${externalId} ${url ?? ""}`);
  }
  if (extraRuns.length > dispatch.extraRuns.length) {
    await database.recordExtraRuns(job.runId, { externalId, url, extraRuns });
    found = { ...found, externalId, url, extraRuns };
    await announceExtraRuns({ ...look, dispatch: found });
  }
  return { ...counted, dispatch: found };
}

async function announceExtraRuns({ dispatch, job, notify, say }: Look): Promise<void> {
  const text = announceDoubles({ ...dispatch, model: job.model }, dispatch.extraRuns);
  say(text);
  await notify({
    kind: "training_doubled",
    model: job.model,
    runId: job.runId,
    decisionId: dispatch.decisionId,
    text,
  });
}

async function ask(look: Look): Promise<TrainingStep> {
  const { remote, dispatch, job } = look;
  const { externalId, url, statusUrl, request } = dispatch;
  const etag = job.note?.etag ?? null;
  const news = await remote.follow({
    key: job.runId,
    externalId: externalId ?? "",
    url,
    statusUrl,
    request,
    etag,
  });
  switch (news.outcome) {
    case "unchanged":
      return later(look, pollMs(look), { heardAt: Date.now(), trouble: null });
    case "nothing_to_ask":
      return silence(look, "The trainer has not told the outcome", LONGEST_PAUSE_MS);
    case "gone":
      return silence(look, news.message);
    case "seen": {
      const { etag, status, conclusion, attempt } = news;
      const heard = {
        ...look,
        job: { ...job, note: { ...noteOf(look), etag, heardAt: Date.now(), trouble: null } },
      };
      if (status === dispatch.status && conclusion === dispatch.conclusion && attempt === dispatch.attempt)
        return later(heard, pollMs(look));
      const state = stateOfTraining(status, conclusion);
      // Runs of one request may come into the list one after the other.
      const counted = isEnded(state) ? ((await findOut(uncounted(heard))) ?? heard) : heard;
      // The one that ended left because an older one trains: that one is the training.
      if (counted.dispatch.externalId !== externalId) return later(counted, 0, { etag: null });
      return record(counted, { ...unchanged(counted.dispatch), ...news, state });
    }
    default:
      return news satisfies never;
  }
}

function uncounted(look: Look): Look {
  return { ...look, job: { ...look.job, note: { ...noteOf(look), isCounted: false } } };
}

const LONGEST_PAUSE_MS = 600_000;

/** Nothing was heard. That is no news for a while, and after too long an end of its own. */
async function silence(look: Look, why: string, waitMs: number | null = null): Promise<TrainingStep> {
  const { dispatch, patience, job, say } = look;
  const limitMs = patience.lostAfterSeconds * 1000;
  const heardAgoMs = Date.now() - noteOf(look).heardAt;
  if (heardAgoMs >= limitMs) {
    // Whether it was started at all is for a person to say.
    if (dispatch.state === "unknown") return { outcome: "ended", report: toReport(dispatch) };
    const error = `Nothing was heard of it for ${Math.round(heardAgoMs / 1000)} s. ${why}`;
    return record(look, { ...unchanged(dispatch), state: "failed", conclusion: "lost", error });
  }
  if (job.note?.trouble !== why) say(why);
  // Growing pauses, and a look when it is time to give it up.
  const pauseMs = Math.max(waitMs ?? 0, pollMs(look), Math.min(heardAgoMs / 4, LONGEST_PAUSE_MS));
  return later(look, Math.min(pauseMs, limitMs - heardAgoMs + 1_000), { trouble: why });
}

/** Writes down what is new and goes on from there. */
async function record(look: Look, progress: Progress): Promise<TrainingStep> {
  const { database, job, say } = look;
  await database.recordProgress(job.runId, progress);
  const { state, conclusion, error } = progress;
  say([progress.status ?? state, conclusion, error].filter((part) => part !== null).join(" · "));
  // Somebody else may have written another end before, which then stands.
  const dispatch = (await database.readDispatch(job.runId)) ?? look.dispatch;
  const now = { ...look, dispatch };
  return isEnded(dispatch.state) ? end(now) : later(now, pollMs(look));
}

/** A training that failed is looked at once more: a person may have run it again. */
async function lookOnceMore(look: Look): Promise<TrainingStep> {
  const { remote, dispatch, job } = look;
  const { externalId, url, statusUrl, request, attempt } = dispatch;
  if (remote.run || externalId === null) return end(look);
  try {
    const news = await remote.follow({ key: job.runId, externalId, url, statusUrl, request, etag: null });
    if (news.outcome === "seen" && (news.attempt ?? 0) > (attempt ?? 0)) {
      const state = stateOfTraining(news.status, news.conclusion);
      return await record(look, { ...unchanged(dispatch), ...news, state, error: null });
    }
  } catch (error) {
    if (!(error instanceof TrainerUnavailable)) throw error;
  }
  return end(look);
}

/** Tells of the end; keeps the alerts of a failed training for a while, then has somebody look again. */
async function end(look: Look): Promise<TrainingStep> {
  const { dispatch, job, notify, findModel, lookAgain } = look;
  const { policy } = findModel(job.model);
  const isFailure = dispatch.state !== "succeeded";
  const backoffMs = computeBackoffSeconds(policy.backoffSeconds, Math.max(1, dispatch.failures)) * 1000;
  // Without the guard no alert is ever used up, and none is kept.
  const leftMs = isFailure && policy.retriggerGuard ? backoffMs - (dispatch.endedAgoMs ?? 0) : 0;
  const alertsBackAt = leftMs > 0 ? new Date(Date.now() + leftMs).toISOString() : null;
  const report = { ...toReport(dispatch), alertsBackAt };
  const text = announceEnd({ ...dispatch, model: job.model }, { ...dispatch, alertsBackAt });
  const about = { model: job.model, runId: job.runId, decisionId: dispatch.decisionId };
  // Each attempt has an end of its own.
  await notify({ ...about, kind: "training_ended", text }, `-${dispatch.attempt ?? 1}`);
  if (leftMs > 0) {
    if (job.note?.trouble !== KEPT) look.say(`its alerts are given back at ${alertsBackAt}`);
    return { ...later(look, leftMs, { trouble: KEPT }), report };
  }
  if ((isFailure && policy.retriggerGuard) || dispatch.keptOthersWaiting) await lookAgain(job.model);
  return { outcome: "ended", report };
}

const KEPT = "its alerts are kept";

function later(look: Look, waitMs: number, changes: Partial<TrainingNote> = {}) {
  const note = { ...noteOf(look), ...changes };
  return { outcome: "later", waitMs: Math.round(waitMs), note, report: toReport(look.dispatch) } as const;
}

function noteOf({ job, dispatch, patience }: Look): TrainingNote {
  // Not every sign of life is written down: whoever begins to look gives it some time yet.
  const mostMs = patience.lostAfterSeconds * 900;
  const heardAgoMs = Math.min(mostMs, dispatch.heardAgoMs ?? dispatch.askedAgoMs ?? 0);
  return (
    job.note ?? { etag: null, heardAt: Math.round(Date.now() - heardAgoMs), trouble: null, isCounted: false }
  );
}

/** Spread out, so that trainings which began together are not looked at together. */
function pollMs({ patience }: Pick<Look, "patience">): number {
  return patience.pollMs * (0.75 + Math.random() / 2);
}

function toAsked({ runId: key, request, askedAgoMs }: FollowedDispatch): AskedDispatch {
  return { key, request, askedAgoMs: askedAgoMs ?? 0 };
}

function unchanged({
  status,
  conclusion,
  attempt,
  externalId,
  url,
  durationSeconds,
  error,
}: FollowedDispatch) {
  return { status, conclusion, attempt, externalId, url, durationSeconds, error };
}

function toReport(dispatch: FollowedDispatch | null): TrainingReport {
  if (!dispatch) {
    const nothing = { externalId: null, url: null, status: null, conclusion: null, attempt: null };
    return {
      ...nothing,
      state: "cancelled",
      error: "The run has no dispatch",
      durationSeconds: null,
      extraRuns: [],
      alertsBackAt: null,
    };
  }
  const { state, externalId, url, error, status, conclusion, attempt, durationSeconds, extraRuns } = dispatch;
  return {
    state,
    externalId,
    url,
    error,
    status,
    conclusion,
    attempt,
    durationSeconds,
    extraRuns,
    alertsBackAt: null,
  };
}
