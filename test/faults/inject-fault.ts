import { setTimeout as pause } from "node:timers/promises";
import { INBOX_JOBS } from "../../queues/names.ts";
import { isServerAway } from "../../src/redis/refusal.ts";
import type { WorkerFaults } from "./faulty-worker.ts";
import type { Lane } from "./lane.ts";
import type { SentEvent } from "./observe.ts";
import type { Plan } from "./plans.ts";
import type { Sandbox } from "./sandbox.ts";
import type { WorkerProcess } from "./worker-process.ts";

interface InjectedFault {
  hasStruck: boolean;
  sent: SentEvent[];
  healedAt: number;
}

/** Starts workers, sends the events, and injects the fault meanwhile. */
export async function injectFault(lane: Lane, sandbox: Sandbox, plan: Plan): Promise<InjectedFault> {
  const workers = await startWorkers(sandbox, plan);
  const sending = sendEvents(sandbox, plan);
  const { hasStruck, healedAt } = await applyFault(lane, sandbox, plan, workers);
  const sent = await sending;
  return { hasStruck, sent, healedAt: Math.max(healedAt, sent.at(-1)?.sentAt ?? 0) };
}

async function startWorkers(sandbox: Sandbox, { fault, killAt, nth }: Plan): Promise<WorkerProcess[]> {
  const faults: Partial<WorkerFaults>[] = {
    "worker killed at a point": [{ killAt, nth }],
    "Redis emptied and worker killed": [{ killAt, nth }],
    "one of two workers killed": [{ killAt, nth }, {}],
    "master killed": [{}, {}],
    "master suspended": [{}, {}],
    "master handed over": [{}, {}],
    "no lock at all": [{ hasNoLock: true }, { hasNoLock: true }],
    "clocks differ": [{}, { clockAheadMs: 90_000 }],
    "trainer's answers lost": [{ killAt: "trainer.search:before", nth }],
  }[fault as string] ?? [{}];
  return Promise.all(faults.map((each) => sandbox.startWorker(each)));
}

async function sendEvents(sandbox: Sandbox, { events, spacingMs }: Plan): Promise<SentEvent[]> {
  const sent: SentEvent[] = [];
  for (let index = 0; index < events; index += 1) {
    const eventRunId = `drift-${index}`;
    const sentAt = Date.now();
    const jobId = await sendUntilAccepted(sandbox, eventRunId);
    sent.push({ eventRunId, sentAt, jobId });
    await pause(spacingMs);
  }
  return sent;
}

/** A Redis that refuses an event has not lost it: its producer sends it again. */
async function sendUntilAccepted({ producer }: Sandbox, runId: string): Promise<string> {
  for (;;) {
    try {
      return await producer.send(INBOX_JOBS.event, { runId });
    } catch (error) {
      if (!isServerAway(error)) throw error;
      await pause(100);
    }
  }
}

type FaultTimes = Pick<InjectedFault, "hasStruck" | "healedAt">;

async function applyFault(
  lane: Lane,
  sandbox: Sandbox,
  plan: Plan,
  workers: WorkerProcess[],
): Promise<FaultTimes> {
  const { afterMs, lastsMs } = plan;
  const [first] = workers;
  const lasting = async (begin: () => unknown, end: () => unknown): Promise<FaultTimes> => {
    await pause(afterMs);
    await begin();
    await pause(lastsMs);
    await end();
    return { hasStruck: true, healedAt: Date.now() };
  };
  switch (plan.fault) {
    case "worker killed at a point":
    case "one of two workers killed":
      return restartWhenKilled(sandbox, first, 3_000);
    case "trainer's answers lost":
      return { ...(await restartWhenKilled(sandbox, first, 3_000)), hasStruck: true };
    case "worker killed at random":
      await pause(afterMs);
      first?.child.kill("SIGKILL");
      return restartWhenKilled(sandbox, first, 3_000);
    case "worker paused":
      return lasting(
        () => first?.child.kill("SIGSTOP"),
        async () => {
          // Long enough for its jobs to count as stalled and be taken over by a second worker.
          await sandbox.startWorker();
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
      await sandbox.redis.flushall();
      return { hasStruck: true, healedAt: Date.now() };
    case "Redis emptied and worker killed": {
      const hasStruck = await isKilled(first, 3_000);
      await sandbox.redis.flushall();
      const healedAt = Date.now();
      if (hasStruck) await sandbox.startWorker();
      return { hasStruck, healedAt };
    }
    case "Redis cut off":
      return lasting(lane.redis.proxy.cut, lane.redis.proxy.heal);
    case "Redis slow":
      return lasting(
        () => lane.redis.proxy.slowDown(100),
        () => lane.redis.proxy.slowDown(0),
      );
    case "Postgres killed":
      return lasting(lane.postgres.kill, lane.postgres.restart);
    case "Postgres paused":
      return lasting(lane.postgres.pause, lane.postgres.resume);
    case "Postgres cut off":
      return lasting(lane.postgres.proxy.cut, lane.postgres.proxy.heal);
    case "Postgres slow":
      return lasting(
        () => lane.postgres.proxy.slowDown(200),
        () => lane.postgres.proxy.slowDown(0),
      );
    case "master killed":
    case "master suspended":
    case "master handed over":
    case "master killed, its replica behind":
    case "master killed, writes need a replica":
      return failOver(lane, sandbox, plan);
    case "none":
    case "no lock at all":
    case "clocks differ":
      return { hasStruck: true, healedAt: Date.now() };
    default:
      return plan.fault satisfies never;
  }
}

/** Makes another server take over, after which the old master is back as its replica. */
async function failOver({ replicated }: Lane, sandbox: Sandbox, plan: Plan): Promise<FaultTimes> {
  if (!replicated) throw new Error(`"${plan.fault}" needs a replicated Redis: --cluster or --sentinel`);
  const prefix = sandbox.settings["REDIS_PREFIX"] ?? "";
  const needsReplica = plan.fault === "master killed, writes need a replica";
  const configure = (replicas: number): Promise<unknown> =>
    Promise.all(
      replicated.servers.map(({ admin }) => admin.config("SET", "min-replicas-to-write", replicas)),
    );
  if (needsReplica) await configure(1);
  await pause(plan.afterMs);
  const master = await replicated.findMaster(prefix);
  if (plan.fault === "master handed over") await replicated.handOver(prefix);
  else if (plan.fault === "master suspended") master.pause();
  else {
    const isBehind = plan.fault !== "master killed";
    const replica = await replicated.findReplica(prefix);
    if (isBehind) {
      // What the master accepts from now on, the replica does not get.
      replica.pause();
      await master.admin.client("KILL", "TYPE", "REPLICA");
      await pause(500);
    }
    await master.kill();
    replica.resume();
  }
  await replicated.untilReplaced(master, prefix);
  const healedAt = Date.now();
  master.resume();
  await replicated.heal();
  if (needsReplica) await configure(0);
  return { hasStruck: true, healedAt };
}

async function isKilled(worker: WorkerProcess | undefined, limitMs: number): Promise<boolean> {
  await Promise.race([worker?.ended, pause(limitMs, undefined, { ref: false })]);
  return worker?.hasEnded() ?? false;
}

/** Waits until the worker is killed, at most for the limit, and restarts it, as a supervisor does. */
async function restartWhenKilled(
  sandbox: Sandbox,
  worker: WorkerProcess | undefined,
  limitMs: number,
): Promise<FaultTimes> {
  const hasStruck = await isKilled(worker, limitMs);
  const healedAt = Date.now();
  if (hasStruck) await sandbox.startWorker();
  // The kill may still happen at a step late in the run, so the supervisor stays on duty.
  else void worker?.ended.then(() => (worker.child.signalCode === "SIGKILL" ? sandbox.startWorker() : null));
  return { hasStruck, healedAt };
}
