import type { ModelConfig, TrainingPatience } from "../src/config.ts";
import type { Database } from "../src/postgres/database.ts";
import type { FollowedDispatch } from "../src/postgres/trainings.ts";
import type { AskedDispatch, RemoteTrainer, Trainer } from "../src/trainers/trainer.ts";
import { type TrainingJob, type TrainingNote, TrainingReport } from "../queues/jobs.ts";
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

export function noteOf({ job, dispatch }: Look): TrainingNote {
  // Signs of life come by other ways too: by callbacks, or a person's word.
  const toldAt = Math.round(Date.now() - (dispatch.heardAgoMs ?? dispatch.askedAgoMs ?? 0));
  const { note } = job;
  if (!note) return { etag: null, heardAt: toldAt, silentSince: null, trouble: null, isCounted: false };
  return { ...note, heardAt: Math.max(note.heardAt, toldAt) };
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
  return dispatch
    ? TrainingReport.parse({ ...dispatch, alertsBackAt: null })
    : TrainingReport.parse({ ...NOTHING, error: "The run has no dispatch" });
}

const NOTHING = {
  state: "cancelled",
  externalId: null,
  url: null,
  status: null,
  conclusion: null,
  attempt: null,
  durationSeconds: null,
  extraRuns: [],
  alertsBackAt: null,
};
