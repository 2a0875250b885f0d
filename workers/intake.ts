import type { Chain } from "../queues/chain.ts";
import {
  type Cause,
  DecisionRequest,
  DriftMonitoringCompleted,
  FollowUpRequest,
  type IntakeResult,
} from "../queues/jobs.ts";
import { INBOX_JOBS } from "../queues/names.ts";
import { createRunId } from "../queues/run-id.ts";
import { PermanentError } from "../src/core/errors.ts";
import { parseInput } from "../src/core/parse.ts";
import type { Database } from "../src/postgres/database.ts";
import type { DecisionLock } from "../src/redis/decision-lock.ts";
import { endRun } from "./follow-up.ts";

/** An inbox job, with its permanent identity. */
export interface InboxJob {
  name: string;
  data: unknown;
  /** Never reused, even if Redis restarts its job counter. */
  key: string;
  /** The id of the run that this job starts, the same on every try. */
  runId: string;
  /** Whether an earlier attempt may have started its run. */
  isRetry: boolean;
  /** Whether checks were saved with it, which no snapshot may have seen yet. */
  bringsChecks: boolean;
}

export interface IntakeDependencies {
  lock: DecisionLock;
  chain: Chain;
  database: Pick<Database, "recordEvent">;
  /** @throws PermanentError for a model that the settings do not name. */
  findModel(model: string): unknown;
  hasModel(model: string): boolean;
}

/** Which run covers an inbox job; "busy" for a follow-up that has to wait because another run holds the lock. */
export type IntakeOutcome = { kind: "taken"; result: IntakeResult } | { kind: "busy" };

/**
 * Takes one inbox job and returns which run covers it: one that it starts, or the follow-up of the run under way.
 *
 * The order keeps an event from being lost: first the lock decides which run covers it, then Postgres records that, then
 * the chain (or the follow-up) is added. Each step is idempotent.
 */
export function createIntake(dependencies: IntakeDependencies) {
  const taken = (result: IntakeResult): IntakeOutcome => ({ kind: "taken", result });
  return async (job: InboxJob): Promise<IntakeOutcome> => {
    const { name, data } = job;
    switch (name) {
      case INBOX_JOBS.event: {
        const event = parseInput(DriftMonitoringCompleted, data, "event");
        return taken(await takeEvent(dependencies, job, event, modelOf(dependencies, event)));
      }
      case INBOX_JOBS.manual: {
        const model = modelOf(dependencies, parseInput(DecisionRequest, data, "request"));
        return taken(await startOrFold(dependencies, job, model, "manual"));
      }
      case INBOX_JOBS.schedule:
      case INBOX_JOBS.nextLook: {
        const { model = "default" } = parseInput(DecisionRequest, data, "request");
        // A model that was removed from the settings is not evaluated. That is not a failure.
        if (!dependencies.hasModel(model)) return taken({ outcome: "model_removed" });
        const cause = name === INBOX_JOBS.schedule ? "schedule" : "followup";
        return taken(await startOrFold(dependencies, job, model, cause));
      }
      case INBOX_JOBS.followup: {
        const { model, runId } = parseInput(FollowUpRequest, data, "follow-up");
        if (dependencies.hasModel(model)) return takeFollowUp(dependencies, job, model, runId);
        // If the model returns, its requests need a follow-up that still runs.
        await dependencies.lock.unfold(model, runId);
        return taken({ outcome: "model_removed" });
      }
      default:
        throw new PermanentError(
          "UNKNOWN_JOB",
          `Unknown job name "${name.slice(0, 80)}". Send events as ${INBOX_JOBS.event}`,
        );
    }
  };
}

function modelOf(
  { findModel }: IntakeDependencies,
  { model = "default" }: { model?: string | undefined },
): string {
  findModel(model);
  return model;
}

async function takeEvent(
  dependencies: IntakeDependencies,
  job: InboxJob,
  event: DriftMonitoringCompleted,
  model: string,
): Promise<IntakeResult> {
  if (event.status === "failed") {
    const known = await dependencies.database.recordEvent({
      model,
      event,
      jobKey: job.key,
      outcome: "drift_run_failed",
      runId: null,
    });
    return known.kind === "accepted"
      ? { outcome: "drift_run_failed" }
      : { outcome: "duplicate", runId: known.runId };
  }
  return startOrFold(dependencies, job, model, "event", event);
}

async function startOrFold(
  { lock, chain, database }: IntakeDependencies,
  job: InboxJob,
  model: string,
  cause: Cause,
  event?: DriftMonitoringCompleted,
): Promise<IntakeResult> {
  if (job.isRetry && (await chain.stateOf(job.runId)) !== "absent")
    return { outcome: "started", runId: job.runId };

  for (;;) {
    const candidate = createRunId();
    const entry = await lock.enter(model, job.runId, candidate);
    const runId = entry.outcome === "entered" ? job.runId : entry.runId;
    const outcome = entry.outcome === "entered" ? "started" : "folded";

    const known = event
      ? await database.recordEvent({ model, event, jobKey: job.key, outcome, runId })
      : ({ kind: "accepted" } as const);
    if (known.kind === "duplicate" && !job.bringsChecks) {
      if (outcome === "started") await endRun(lock, chain, model, runId);
      else await lock.unfold(model, candidate);
      return { outcome: "duplicate", runId: known.runId };
    }
    if (outcome === "started") {
      await chain.start({ runId, model, cause });
      return { outcome, runId };
    }
    // Each request that folds into a follow-up adds its job, in case the first one died before doing so. If the
    // follow-up ran while the event was being recorded, it may already have handed over its events.
    if ((await chain.requestFollowUp(model, runId, "requests")) === "waiting") return { outcome, runId };
  }
}

async function takeFollowUp(
  { lock, chain }: IntakeDependencies,
  job: InboxJob,
  model: string,
  runId: string,
): Promise<IntakeOutcome> {
  // The reconciler may have requested a run whose chain was merely late.
  const started: IntakeOutcome = { kind: "taken", result: { outcome: "started", runId } };
  if ((await chain.stateOf(runId)) !== "absent") return started;
  if (!(await lock.enterFollowUp(model, runId))) return { kind: "busy" };
  await chain.start({ runId, model, cause: "followup" });
  return started;
}
