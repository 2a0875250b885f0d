import { setTimeout as pause } from "node:timers/promises";
import { type TrainingJob, type TrainingNote, TrainingReport } from "../queues/jobs.ts";
import { isTerminal, toOutcome } from "../src/core/dispatch/dispatch.ts";
import { effectsOf } from "../src/core/dispatch/effects.ts";
import type { DispatchEffect } from "../src/core/dispatch/transition.ts";
import { TransientError } from "../src/core/errors.ts";
import type { Database } from "../src/postgres/database.ts";
import type { DispatchRecord } from "../src/postgres/dispatches.ts";
import type { RunOptions, Trainer } from "../src/trainers/trainer.ts";
import { type Dispatcher, NO_MEMO } from "./dispatch.ts";
import type { Slots } from "./slots.ts";

export interface TrainingDependencies {
  trainer: Trainer;
  database: Pick<Database, "readDispatch">;
  dispatcher: Dispatcher;
  timing: { pollMs: number; lostAfterSeconds: number };
  /** Whether the act stage of a run works on its dispatch, or will. */
  isActAtWork(runId: string): Promise<boolean>;
  /** Bounds the trainings that run in this process at once. */
  runSlots: Slots;
}

/** The result of working on a training until it has to wait or is done. */
export type TrainingStep =
  /** Not finished: to be continued after the pause, with the note. */
  | { outcome: "later"; waitMs: number; note: TrainingNote | undefined; report: TrainingReport }
  | { outcome: "ended"; report: TrainingReport };

/**
 * Works on one dispatch until it has to wait or is done: requests its training if the act stage no longer can, searches for
 * one whose response was lost, follows it to its end or runs it here, and carries out the effects of each state on the way.
 * A failed training is polled until its alerts may start another one, because a person may re-run it.
 */
export function createTraining(dependencies: TrainingDependencies) {
  const { trainer, database, dispatcher, timing, isActAtWork } = dependencies;

  function later(record: DispatchRecord, waitMs: number, note?: TrainingNote): TrainingStep {
    return { outcome: "later", waitMs: Math.round(waitMs), note, report: toReport(dispatcher, record) };
  }

  return async (job: TrainingJob, options: RunOptions): Promise<TrainingStep> => {
    const found = await database.readDispatch(job.runId);
    // A training of another trainer is left to that trainer's settings.
    if (!found || !trainer.remote || found.trainer !== trainer.name)
      return { outcome: "ended", report: toReport(dispatcher, found) };
    if (found.dispatch.state === "pending" && (await isActAtWork(job.runId)))
      return later(found, timing.pollMs, job.note);

    let record = found;
    let note: TrainingNote = job.note ?? { ...NO_MEMO, problem: null, end: null };
    for (;;) {
      const turn = await dispatcher.takeTurn(record, note);
      const isNews = turn.record.version !== record.version;
      record = turn.record;
      if (isNews) options.say(describe(record));
      if (turn.note !== undefined && turn.note !== note.problem) options.say(turn.note);
      note = { ...note, ...turn.memo, problem: turn.note ?? null };
      // The effects of an end are carried out once, even if an earlier try wrote the end and died.
      const end = endOf(record);
      if (end !== null && end !== note.end)
        await dispatcher.carryOut(record, withoutFollow(effectsOf(record.dispatch)));
      else if (end === null && (isNews || turn.next.kind === "done"))
        await dispatcher.carryOut(record, withoutFollow(turn.effects));
      note = { ...note, end };
      const { next } = turn;
      if (next.kind === "done") return { outcome: "ended", report: toReport(dispatcher, record) };
      if (next.kind === "run") {
        const ran = await runHere(dependencies, record, options);
        if (ran === "no slot") return later(record, timing.pollMs, note);
        record = ran;
      } else if (next.waitMs > 0) return later(record, next.waitMs, note);
    }
  };
}

/** Identifies one end of a training: a re-run has another. Null while it is open. */
function endOf({ dispatch: { state, endedAt } }: DispatchRecord): string | null {
  return isTerminal(state) ? `${state} ${endedAt}` : null;
}

/** This job is the one that follows the training. */
function withoutFollow(effects: readonly DispatchEffect[]): DispatchEffect[] {
  return effects.filter((effect) => effect !== "follow");
}

function describe({ dispatch }: DispatchRecord): string {
  const { state, status, conclusion, externalId, url, error } = dispatch;
  return [status ?? state, conclusion, externalId, url, error].filter((part) => part !== null).join(" · ");
}

/** Runs a training in this process, once: a worker that ended while it ran took the training with it. */
async function runHere(
  { trainer: { remote, renderRequest }, dispatcher, runSlots, timing }: TrainingDependencies,
  record: DispatchRecord,
  options: RunOptions,
): Promise<DispatchRecord | "no slot"> {
  if (!remote?.run) throw new Error("the trainer runs nothing here");
  if (record.dispatch.state === "running") {
    const message = "The worker that ran it is gone, and the training with it";
    const lost = { kind: "run_ended", conclusion: "lost", message, durationSeconds: null } as const;
    return (await dispatcher.apply(record, lost)).record;
  }
  const release = runSlots.take();
  if (!release) {
    await dispatcher.apply(record, { kind: "unchanged" });
    return "no slot";
  }
  try {
    // Only one process gets to write this, and only that one runs the training.
    const started = await dispatcher.apply(record, { kind: "run_started" });
    if (started.patch.state !== "running") return started.record;
    const request = renderRequest(record.order);
    const heartbeat = beat(dispatcher, started.record, timing.lostAfterSeconds * 250);
    const end = await remote.run({ key: record.runId, request }, options).finally(() => heartbeat.stop());
    const ended = { kind: "run_ended", ...end } as const;
    return (await untilWritten(() => dispatcher.apply(started.record, ended), options.signal)).record;
  } finally {
    release();
  }
}

/** Records at intervals that a training is alive, so that it holds its model for as long as it runs. */
function beat(dispatcher: Dispatcher, record: DispatchRecord, intervalMs: number) {
  const timer = setInterval(
    () => void dispatcher.apply(record, { kind: "unchanged" }).catch(() => {}),
    Math.min(intervalMs, 2 ** 31 - 1),
  );
  return { stop: () => clearInterval(timer) };
}

const PAUSE_MS = 2_000;

/** Only this process knows how the program ended, so it retries while Postgres is away, unless it has to stop itself. */
async function untilWritten<T>(write: () => Promise<T>, signal: AbortSignal): Promise<T> {
  for (;;) {
    try {
      return await write();
    } catch (error) {
      if (signal.aborted || !(error instanceof TransientError)) throw error;
      await pause(PAUSE_MS);
    }
  }
}

function toReport(dispatcher: Dispatcher, record: DispatchRecord | null): TrainingReport {
  if (!record) return TrainingReport.parse({ ...NOTHING, error: "The run has no dispatch" });
  return TrainingReport.parse({
    ...record.dispatch,
    ...toOutcome(record.dispatch),
    alertsBackAt: dispatcher.alertsBackAt(record),
  });
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
