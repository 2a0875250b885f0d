import { setTimeout as pause } from "node:timers/promises";
import type { Config } from "../config/config.ts";
import { advance } from "../core/dispatch/advance.ts";
import type { DispatchInput } from "../core/dispatch/transition.ts";
import { PermanentError } from "../core/errors.ts";
import { describeConflict } from "../core/report/announce.ts";
import type { Database } from "../postgres/database.ts";
import { clockOf, type DispatchRecord } from "../postgres/dispatches.ts";
import type { IdentifiedTraining, RemoteTrainer } from "../trainers/trainer.ts";
import type { Trainers } from "../trainers/trainers.ts";

/** How long to wait for the trainer's response. */
const RESPONSE_LIMIT_MS = 60_000;

const REOPENINGS = { rejected: "retry", unknown: "resend" } as const;

/**
 * Allows a dispatch to be requested again. One that is already pending may have lost its worker and only has to be resumed.
 * @throws PermanentError if it is in another state, or if another decision has requested a training in the meantime.
 */
export async function reopenDispatch(
  config: Pick<Config, "timing">,
  database: Pick<Database, "findLaterRequest" | "updateDispatch">,
  record: DispatchRecord,
  from: keyof typeof REOPENINGS,
): Promise<void> {
  const { state } = record.dispatch;
  if (state === "pending") return;
  if (state !== from) throw refuse(`The dispatch is ${state}, not ${from}`);
  const rival = await database.findLaterRequest(record.decisionId);
  if (rival !== null) throw refuse(describeConflict(rival));
  if (!(await applyInput(config, database, record, { kind: REOPENINGS[from] })))
    throw refuse(`The dispatch is no longer ${from}`);
}

/** Records which training an unknown dispatch started. @throws PermanentError if the outcome is already known. */
export async function confirmDispatch(
  config: Pick<Config, "timing">,
  database: Pick<Database, "updateDispatch">,
  record: DispatchRecord,
  training: IdentifiedTraining,
): Promise<void> {
  if (!(await applyInput(config, database, record, { kind: "confirm", ...training })))
    throw refuse("There is nothing to confirm: the outcome of this dispatch is known");
}

/**
 * Returns the trainer that a dispatch was made for.
 * @throws PermanentError if the settings give its model another trainer now, or if that trainer starts no trainings.
 */
export function requireRemote(
  trainers: Pick<Trainers, "of">,
  { decisionId, model, trainer }: Pick<DispatchRecord, "decisionId" | "model" | "trainer">,
): RemoteTrainer {
  const { name, remote } = trainers.of(model);
  if (name !== trainer)
    throw refuse(
      `The training of decision ${decisionId} was dispatched to ${trainer}, but the trainer of ${model} is ${name}`,
    );
  if (!remote) throw refuse(`Decision ${decisionId} was made for ${name}, which starts no trainings`);
  return remote;
}

/** Waits until the outcome of a request is known, at most a minute. */
export async function untilSettled(
  database: Pick<Database, "readDispatch">,
  runId: string,
): Promise<DispatchRecord | null> {
  for (const deadline = Date.now() + RESPONSE_LIMIT_MS; ; await pause(200)) {
    const record = await database.readDispatch(runId);
    if (record?.dispatch.state !== "pending" || Date.now() > deadline) return record;
  }
}

export function refuse(message: string): PermanentError {
  return new PermanentError("REFUSED", message);
}

/** Applies an input from outside the workers, and leaves the next step to them. Returns whether it changed anything. */
export async function applyInput(
  { timing: limits }: Pick<Config, "timing">,
  database: Pick<Database, "updateDispatch">,
  record: DispatchRecord,
  input: DispatchInput,
): Promise<boolean> {
  // What the trainer can do matters only to the next step.
  const trainer = { followsById: true, reportsOutcomes: false, runsHere: false };
  const { patch } = await database.updateDispatch(record, (current) =>
    advance(current.dispatch, input, { now: clockOf(current), limits, trainer }),
  );
  return Object.keys(patch).length > 0;
}
