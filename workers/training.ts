import { setTimeout as pause } from "node:timers/promises";
import { type TrainingJob, type TrainingNote, TrainingReport } from "../queues/jobs.ts";
import { isTerminal, toOutcome } from "../src/core/dispatch/dispatch.ts";
import { effectsOf } from "../src/core/dispatch/effects.ts";
import type { DispatchEffect } from "../src/core/dispatch/transition.ts";
import { TransientError } from "../src/core/errors.ts";
import type { Database } from "../src/postgres/database.ts";
import type { DispatchRecord } from "../src/postgres/dispatches.ts";
import type { RunOptions, Trainer } from "../src/trainers/trainer.ts";
import { findTrainer, type Trainers } from "../src/trainers/trainers.ts";
import { type Dispatcher, FIRST_POLL } from "./dispatch.ts";
import type { Slots } from "../src/process/slots.ts";

export interface TrainingDependencies {
  trainers: Pick<Trainers, "of" | "before">;
  database: Pick<Database, "readDispatch">;
  dispatcher: Dispatcher;
  timing: { pollMs: number; lostAfterMs: number };
  /** Whether the act stage of a run is settling its dispatch, or will. */
  isActOpen(runId: string): Promise<boolean>;
  /** Limits how many trainings run in this process at once. */
  runSlots: Slots;
}

/** The result of working on a training until it has to wait or is done. */
export type TrainingResult =
  /** Not finished: call again after the wait, with the note. */
  | { outcome: "later"; waitMs: number; note: TrainingNote | undefined; report: TrainingReport }
  | { outcome: "ended"; report: TrainingReport };

/**
 * Advances one dispatch until it has to wait or is done: requests its training if the act stage no longer can, searches for
 * one whose response was lost, follows it to its end or runs it here, and carries out the effects of each state on the way.
 * A failed training is polled until its alerts may start another one, because it may be re-run by hand.
 */
export function createTraining(dependencies: TrainingDependencies) {
  const { trainers, database, dispatcher, timing, isActOpen } = dependencies;

  function later(record: DispatchRecord, waitMs: number, note?: TrainingNote): TrainingResult {
    return { outcome: "later", waitMs: Math.round(waitMs), note, report: toReport(dispatcher, record) };
  }

  return async (job: TrainingJob, options: RunOptions): Promise<TrainingResult> => {
    const found = await database.readDispatch(job.runId);
    const trainer = found && findTrainer(trainers, found);
    if (!found || !trainer?.remote) return { outcome: "ended", report: toReport(dispatcher, found) };
    if (found.dispatch.state === "pending" && (await isActOpen(job.runId)))
      return later(found, timing.pollMs, job.note);

    let record = found;
    let note = job.note ?? beginNote(job);
    for (;;) {
      const step = await dispatcher.takeStep(record, note);
      const isNews = step.record.version !== record.version;
      record = step.record;
      if (isNews) options.log(describe(record));
      if (step.note !== undefined && step.note !== note.problem) options.log(step.note);
      const unknownRequest = await noteUnknown(dispatcher, record, note);
      note = { ...note, ...step.pollState, problem: step.note ?? null, unknownRequest };
      // Carry out the effects of an end once, even if an earlier attempt recorded the end and then died.
      const end = endOf(record);
      if (end !== null && end !== note.end)
        await dispatcher.carryOut(record, withoutFollow(effectsOf(record.dispatch)), note.hasFailed);
      else if (end === null && (isNews || step.next.kind === "done"))
        await dispatcher.carryOut(record, withoutFollow(step.effects));
      note = { ...note, end, hasFailed: note.hasFailed || (end !== null && !end.startsWith("succeeded")) };
      const { next } = step;
      if (next.kind === "done") return { outcome: "ended", report: toReport(dispatcher, record) };
      if (next.kind === "run") {
        const ran = await runHere(dependencies, trainer, record, options);
        if (ran === null) return later(record, timing.pollMs, note);
        record = ran;
      } else if (next.waitMs > 0) return later(record, next.waitMs, note);
    }
  };
}

function beginNote(job: TrainingJob): TrainingNote {
  const unknownRequest = job.unknownRequest ?? null;
  return { ...FIRST_POLL, problem: null, end: null, unknownRequest, hasFailed: false };
}

/** Notifies that a request is no longer unknown. Returns the request that is, for the next call. */
async function noteUnknown(
  dispatcher: Pick<Dispatcher, "closeUnknown">,
  record: DispatchRecord,
  { unknownRequest: before }: TrainingNote,
): Promise<number | null> {
  const { state, askedAt } = record.dispatch;
  const unknown = state === "unknown" ? askedAt : null;
  if (before !== null && before !== unknown) await dispatcher.closeUnknown(record, before);
  return unknown;
}

/** Identifies one end of a training: a re-run has another one. Null while it is open. */
function endOf({ dispatch: { state, endedAt } }: DispatchRecord): string | null {
  return isTerminal(state) ? `${state} ${endedAt}` : null;
}

/** Leaves out "follow", because this job is the one that follows the training. */
function withoutFollow(effects: readonly DispatchEffect[]): DispatchEffect[] {
  return effects.filter((effect) => effect !== "follow");
}

function describe({ dispatch }: DispatchRecord): string {
  const { state, status, conclusion, externalId, url, error } = dispatch;
  return [status ?? state, conclusion, externalId, url, error].filter((part) => part !== null).join(" · ");
}

/** Runs a training in this process, once: if its worker dies, it is lost. Returns null if no slot is free. */
async function runHere(
  { dispatcher, runSlots, timing }: TrainingDependencies,
  { remote, renderRequest }: Trainer,
  record: DispatchRecord,
  options: RunOptions,
): Promise<DispatchRecord | null> {
  if (!remote?.run) throw new Error("the trainer does not run trainings in this process");
  if (record.dispatch.state === "running") {
    const message = "The worker died and took the training down";
    const lost = { kind: "run_ended", conclusion: "lost", message, durationSeconds: null } as const;
    return (await dispatcher.apply(record, lost)).record;
  }
  const release = runSlots.take();
  if (!release) {
    // Counts as a sign of life, so that a training that waits for a slot is not lost.
    await dispatcher.apply(record, { kind: "unchanged" });
    return null;
  }
  try {
    // Only one process succeeds in writing this, and that one runs the training.
    const started = await dispatcher.apply(record, { kind: "run_started" });
    if (started.patch.state !== "running") return started.record;
    const request = renderRequest(record.order);
    const heartbeat = startHeartbeat(dispatcher, started.record, timing.lostAfterMs / 4);
    const end = await remote.run({ key: record.runId, request }, options).finally(() => heartbeat.stop());
    const ended = { kind: "run_ended", ...end } as const;
    return (await retryUntilWritten(() => dispatcher.apply(started.record, ended), options.signal)).record;
  } finally {
    release();
  }
}

/** Records regularly that a training is alive, so that it holds its model for as long as it runs. */
function startHeartbeat(dispatcher: Dispatcher, record: DispatchRecord, intervalMs: number) {
  const timer = setInterval(
    () => void dispatcher.apply(record, { kind: "unchanged" }).catch(() => {}),
    Math.min(intervalMs, 2 ** 31 - 1),
  );
  return { stop: () => clearInterval(timer) };
}

const WRITE_RETRY_MS = 2_000;

/** Only this process knows how the program ended, so it retries while Postgres is away, until it has to stop itself. */
async function retryUntilWritten<T>(write: () => Promise<T>, signal: AbortSignal): Promise<T> {
  for (;;) {
    try {
      return await write();
    } catch (error) {
      if (signal.aborted || !(error instanceof TransientError)) throw error;
      await pause(WRITE_RETRY_MS);
    }
  }
}

function toReport(dispatcher: Dispatcher, record: DispatchRecord | null): TrainingReport {
  if (!record) return TrainingReport.parse({ ...EMPTY_REPORT, error: "The run has no dispatch" });
  return TrainingReport.parse({
    ...record.dispatch,
    ...toOutcome(record.dispatch),
    alertsBackAt: dispatcher.alertsBackAt(record),
  });
}

const EMPTY_REPORT = {
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
