import { setTimeout as pause } from "node:timers/promises";
import { INBOX_JOBS } from "../../queues/names.ts";
import type { WorkerFaults } from "./faulty-worker.ts";
import type { Field } from "./field.ts";
import type { Lane } from "./lane.ts";
import type { SentEvent } from "./observe.ts";
import type { Plan } from "./plans.ts";
import type { WorkerProcess } from "./worker-process.ts";

interface Struck {
  hasStruck: boolean;
  sent: SentEvent[];
  healedAt: number;
}

/** Starts workers, sends the events, and lets the fault happen meanwhile. */
export async function strike(lane: Lane, field: Field, plan: Plan): Promise<Struck> {
  const workers = await startWorkers(field, plan);
  const sending = sendEvents(field, plan);
  const { hasStruck, healedAt } = await happen(lane, field, plan, workers);
  const sent = await sending;
  return { hasStruck, sent, healedAt: Math.max(healedAt, sent.at(-1)?.sentAt ?? 0) };
}

async function startWorkers(field: Field, { fault, killAt, nth }: Plan): Promise<WorkerProcess[]> {
  const faults: Partial<WorkerFaults>[] = {
    "worker killed at a point": [{ killAt, nth }],
    "Redis emptied and worker killed": [{ killAt, nth }],
    "one of two workers killed": [{ killAt, nth }, {}],
    "no lock at all": [{ hasNoLock: true }, { hasNoLock: true }],
    "clocks differ": [{}, { clockAheadMs: 90_000 }],
    "trainer's answers lost": [{ killAt: "trainer.find:before", nth }],
  }[fault as string] ?? [{}];
  return Promise.all(faults.map((each) => field.startWorker(each)));
}

async function sendEvents(field: Field, { events, spacingMs }: Plan): Promise<SentEvent[]> {
  const sent: SentEvent[] = [];
  for (let index = 0; index < events; index += 1) {
    const eventRunId = `drift-${index}`;
    const sentAt = Date.now();
    const jobId = await field.producer.send(INBOX_JOBS.event, { runId: eventRunId });
    sent.push({ eventRunId, sentAt, jobId });
    await pause(spacingMs);
  }
  return sent;
}

type Happening = Pick<Struck, "hasStruck" | "healedAt">;

async function happen(lane: Lane, field: Field, plan: Plan, workers: WorkerProcess[]): Promise<Happening> {
  const { afterMs, lastsMs } = plan;
  const [first] = workers;
  const lasting = async (begin: () => unknown, end: () => unknown): Promise<Happening> => {
    await pause(afterMs);
    await begin();
    await pause(lastsMs);
    await end();
    return { hasStruck: true, healedAt: Date.now() };
  };
  switch (plan.fault) {
    case "worker killed at a point":
    case "one of two workers killed":
      return restartWhenKilled(field, first, 3_000);
    case "trainer's answers lost":
      return { ...(await restartWhenKilled(field, first, 3_000)), hasStruck: true };
    case "worker killed at random":
      await pause(afterMs);
      first?.child.kill("SIGKILL");
      return restartWhenKilled(field, first, 3_000);
    case "worker paused":
      return lasting(
        () => first?.child.kill("SIGSTOP"),
        async () => {
          // Long enough that its jobs are taken for stalled, and a second worker takes them over.
          await field.startWorker();
          await pause(9_000);
          first?.child.kill("SIGCONT");
        },
      );
    case "Redis killed":
      return lasting(lane.redis.kill, lane.redis.restart);
    case "Redis paused":
      return lasting(lane.redis.pause, lane.redis.resume);
    case "Redis emptied":
      await pause(afterMs);
      await field.redis.flushall();
      return { hasStruck: true, healedAt: Date.now() };
    case "Redis emptied and worker killed": {
      const hasStruck = await isKilled(first, 3_000);
      await field.redis.flushall();
      const healedAt = Date.now();
      if (hasStruck) await field.startWorker();
      return { hasStruck, healedAt };
    }
    case "Redis cut off":
      return lasting(lane.redis.wire.cut, lane.redis.wire.heal);
    case "Redis slow":
      return lasting(
        () => lane.redis.wire.slowDown(100),
        () => lane.redis.wire.slowDown(0),
      );
    case "Postgres killed":
      return lasting(lane.postgres.kill, lane.postgres.restart);
    case "Postgres paused":
      return lasting(lane.postgres.pause, lane.postgres.resume);
    case "Postgres cut off":
      return lasting(lane.postgres.wire.cut, lane.postgres.wire.heal);
    case "Postgres slow":
      return lasting(
        () => lane.postgres.wire.slowDown(200),
        () => lane.postgres.wire.slowDown(0),
      );
    case "none":
    case "no lock at all":
    case "clocks differ":
      return { hasStruck: true, healedAt: Date.now() };
    default:
      return plan.fault satisfies never;
  }
}

async function isKilled(worker: WorkerProcess | undefined, limitMs: number): Promise<boolean> {
  await Promise.race([worker?.ended, pause(limitMs, undefined, { ref: false })]);
  return worker?.hasEnded() ?? false;
}

/** Starts the worker again when it was killed, as a supervisor does; so long it is waited for. */
async function restartWhenKilled(
  field: Field,
  worker: WorkerProcess | undefined,
  limitMs: number,
): Promise<Happening> {
  const hasStruck = await isKilled(worker, limitMs);
  const healedAt = Date.now();
  if (hasStruck) await field.startWorker();
  // A step late in the run may still come, and a supervisor does not go home.
  else void worker?.ended.then(() => (worker.child.signalCode === "SIGKILL" ? field.startWorker() : null));
  return { hasStruck, healedAt };
}
