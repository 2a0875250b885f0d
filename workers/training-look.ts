import type { ModelConfig, TrainingPatience } from "../src/config.ts";
import type { Database } from "../src/postgres/database.ts";
import type { FollowedDispatch } from "../src/postgres/dispatches.ts";
import type { AskedDispatch, RemoteTrainer, Trainer } from "../src/trainers/trainer.ts";
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

/** One look at a training, with all that it needs. */
export interface Look extends TrainingDependencies {
  remote: RemoteTrainer;
  dispatch: FollowedDispatch;
  job: TrainingJob;
  say(line: string): void;
}

/** To be looked at again after a while. */
export function later(look: Look, waitMs: number, changes: Partial<TrainingNote> = {}) {
  const note = { ...noteOf(look), ...changes };
  return { outcome: "later", waitMs: Math.round(waitMs), note, report: toReport(look.dispatch) } as const;
}

export function noteOf({ job, dispatch, patience }: Look): TrainingNote {
  // Not every sign of life is written down: whoever begins to look gives it some time yet.
  const mostMs = patience.lostAfterSeconds * 900;
  const heardAgoMs = Math.min(mostMs, dispatch.heardAgoMs ?? dispatch.askedAgoMs ?? 0);
  return (
    job.note ?? { etag: null, heardAt: Math.round(Date.now() - heardAgoMs), trouble: null, isCounted: false }
  );
}

/** Spread out, so that trainings which began together are not looked at together. */
export function pollMs({ patience }: Pick<Look, "patience">): number {
  return patience.pollMs * (0.75 + Math.random() / 2);
}

export function toAsked({ runId: key, request, askedAgoMs }: FollowedDispatch): AskedDispatch {
  return { key, request, askedAgoMs: askedAgoMs ?? 0 };
}

export function unchanged({
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

export function toReport(dispatch: FollowedDispatch | null): TrainingReport {
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
