import { setTimeout as pause } from "node:timers/promises";
import fc from "fast-check";
import { INBOX_JOBS } from "../../queues/names.ts";
import { audit, type Violation } from "./auditor.ts";
import type { WorkerFaults } from "./faulty-worker.ts";
import type { Field, FieldOptions, Lane, WorkerProcess } from "./lane.ts";
import { type MisbehaviourName, MISBEHAVIOURS } from "./misbehaviours.ts";
import { observe, type SentEvent, untilAtRest } from "./observe.ts";

/** Steps at which a worker process kills itself: before and after every effect, and at the return of each stage. */
export const KILL_POINTS = [
  "lock.enter",
  "database.recordEvent",
  "chain.start",
  "chain.requestFollowUp",
  "stage.intake",
  "lock.enterFollowUp",
  "lock.hold",
  "database.fetchEvidence",
  "stage.gather",
  "stage.evaluate",
  "database.recordDecision",
  "database.claimDispatch",
  "trainer.ask",
  "trainer.find",
  "database.updateDispatch",
  "stage.act",
  "lock.leave",
  "chain.wakeFollowUp",
  "stage.summarize",
  "database.readDispatch",
  "trainer.follow",
  "database.readLatestDecision",
  "chain.cancelNextLook",
  "chain.scheduleNextLook",
  "stage.training",
].flatMap((step) => [`${step}:before`, `${step}:after`]);

export const FAULTS = [
  "none",
  "worker killed at a point",
  "worker killed at random",
  "one of two workers killed",
  "worker paused",
  "no lock at all",
  "clocks differ",
  "trainer's answers lost",
  "Redis killed",
  "Redis paused",
  "Redis emptied",
  "Redis emptied and worker killed",
  "Redis cut off",
  "Redis slow",
  "Postgres killed",
  "Postgres paused",
  "Postgres cut off",
  "Postgres slow",
] as const;
export type Fault = (typeof FAULTS)[number];

/** One run, as its seed describes it. */
export interface Plan {
  fault: Fault;
  /** How GitHub behaves meanwhile. */
  github: MisbehaviourName;
  killAt: string;
  nth: number;
  /** From the first event to the fault, and how long it lasts. */
  afterMs: number;
  lastsMs: number;
  events: number;
  spacingMs: number;
  readingMs: number;
  hasGuard: boolean;
}

/** The plans that a seed stands for: the same seed, the same plans. Each fault comes up equally often. */
export function createPlans(count: number, seed: number): Plan[] {
  const plan = fc.record({
    killAt: fc.constantFrom(...KILL_POINTS),
    nth: fc.integer({ min: 1, max: 2 }),
    afterMs: fc.integer({ min: 0, max: 600 }),
    lastsMs: fc.integer({ min: 200, max: 4_000 }),
    events: fc.integer({ min: 2, max: 8 }),
    spacingMs: fc.integer({ min: 0, max: 120 }),
    readingMs: fc.integer({ min: 0, max: 300 }),
    hasGuard: fc.boolean(),
    github: fc.constantFrom(...(Object.keys(MISBEHAVIOURS) as MisbehaviourName[])),
  });
  return fc
    .sample(plan, { numRuns: count, seed })
    .map((plan, index) => ({ ...plan, fault: FAULTS[index % FAULTS.length] ?? "none" }));
}

/** The steps between a decision and the end of its training. */
export const TRAINING_KILL_POINTS = KILL_POINTS.filter((point) =>
  /^(trainer\.|stage\.(act|training)|database\.(claim|updateDispatch|readDispatch|readLatest)|chain\.\w+NextLook)/.test(
    point,
  ),
);

/** Each way in which GitHub misbehaves with a kill at each point on the way of a training. */
export function createGitHubPlans(seed: number): Plan[] {
  const names = Object.keys(MISBEHAVIOURS) as MisbehaviourName[];
  const [like] = createPlans(1, seed);
  if (!like) throw new Error("no plan");
  return names.flatMap((github) =>
    TRAINING_KILL_POINTS.map((killAt) => ({
      ...like,
      github,
      killAt,
      nth: 1,
      fault: "worker killed at a point" as const,
      events: 2,
      spacingMs: 300,
      hasGuard: true,
    })),
  );
}

export interface Outcome {
  plan: Plan;
  violations: Violation[];
  decisions: number;
  dispatches: number;
  /** Dispatches that are handed to a person. */
  unknown: number;
  /** From the end of the fault (the restart, the server's return) to rest. */
  recoveryMs: number;
  /** Whether the fault came to pass: a kill point may lie on a way that the run did not take. */
  hasStruck: boolean;
}

const REST_LIMIT_MS = 60_000;
/** After a kill of the only worker and its restart, the chain is to be at its end. */
const RECOVERY_LIMIT_MS = 15_000;

/** Makes one run and audits what it left. */
export async function makeRun(lane: Lane, plan: Plan, restLimitMs = REST_LIMIT_MS): Promise<Outcome> {
  const field = await lane.openField(fieldOptions(plan));
  const { hasStruck, sent, healedAt } = await strike(lane, field, plan);
  const restedAt = await untilAtRest(field, restLimitMs);
  const recoveryMs = Math.max(0, (restedAt ?? Date.now()) - healedAt);
  await untilLocksLapse(field);
  const observation = await observe(field, sent, {
    hasGuard: plan.hasGuard,
    wasRedisEmptied: plan.fault.startsWith("Redis emptied"),
    doublesRuns: MISBEHAVIOURS[plan.github].doublesRuns ?? false,
  });
  const leaks = await field.close();
  const violations = audit({ ...observation, leaks });
  if (restedAt === null) violations.push({ kind: "broken job", text: `no rest in ${restLimitMs} ms` });
  if (restedAt !== null && plan.fault.startsWith("worker killed") && recoveryMs > RECOVERY_LIMIT_MS)
    violations.push({ kind: "broken job", text: `recovery took ${recoveryMs} ms` });
  return {
    plan,
    violations,
    decisions: observation.decisions.length,
    dispatches: observation.asks.length,
    unknown: observation.dispatches.filter(({ state }) => state === "unknown").length,
    recoveryMs,
    hasStruck,
  };
}

function fieldOptions({ hasGuard, readingMs, fault, github }: Plan): FieldOptions {
  const onOff = hasGuard ? "on" : "off";
  const name = fault === "trainer's answers lost" ? "each answer is lost" : github;
  return {
    settings: { RETRIGGER_GUARD: onOff, TRAINING_IN_FLIGHT_GUARD: onOff },
    readingMs,
    github: structuredClone(MISBEHAVIOURS[name].github),
  };
}

interface Struck {
  hasStruck: boolean;
  sent: SentEvent[];
  healedAt: number;
}

/** Starts workers, sends the events, and lets the fault happen meanwhile. */
async function strike(lane: Lane, field: Field, plan: Plan): Promise<Struck> {
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

/** A process that was killed or paused may hold the lock a little longer than its run: as long as the lock lives. */
async function untilLocksLapse(field: Field): Promise<void> {
  const deadline = Date.now() + Number(field.settings["LOCK_TTL_MS"]);
  while (Date.now() < deadline) {
    if ((await field.redis.keys(`${field.settings["REDIS_PREFIX"]}:decision-lock:*`)).length === 0) return;
    await pause(50);
  }
}
