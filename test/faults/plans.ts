import fc from "fast-check";
import { type MisbehaviourName, MISBEHAVIOURS } from "./misbehaviours.ts";

/** Steps at which a worker process kills itself: before and after every effect and every stage. */
const KILL_POINTS = [
  "lock.enter",
  "database.recordEvent",
  "chain.start",
  "chain.requestFollowUp",
  "stage.intake",
  "lock.enterFollowUp",
  "lock.hold",
  "database.gatherEvidence",
  "stage.gather",
  "stage.evaluate",
  "database.recordDecision",
  "database.claimDispatch",
  "trainer.request",
  "trainer.search",
  "database.updateDispatch",
  "stage.act",
  "lock.leave",
  "chain.wakeFollowUp",
  "stage.summarize",
  "database.readDispatch",
  "trainer.poll",
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

/** Faults of servers that replace each other: of a cluster, or of a master with a replica that sentinels watch. */
export const FAILOVERS = [
  "none",
  "worker killed at a point",
  "master killed",
  "master suspended",
  "master handed over",
  "master killed, its replica behind",
  "master killed, writes need a replica",
] as const;
export type Fault = (typeof FAULTS)[number] | (typeof FAILOVERS)[number];

/** After these, Redis may lack what it had accepted. */
const FORGETTING: readonly Fault[] = [
  "Redis emptied",
  "Redis emptied and worker killed",
  "master killed",
  "master suspended",
  "master killed, its replica behind",
  // Redis notices only after a while that the replica is gone.
  "master killed, writes need a replica",
];
export const mayForget = (fault: Fault): boolean => FORGETTING.includes(fault);

/** One run, as generated from a seed. */
export interface Plan {
  fault: Fault;
  /** How GitHub behaves meanwhile. */
  github: MisbehaviourName;
  killAt: string;
  nth: number;
  /** The time from the first event to the fault. */
  afterMs: number;
  lastsMs: number;
  events: number;
  spacingMs: number;
  readingMs: number;
  hasGuard: boolean;
}

/** Returns the same plans for the same seed. Each fault occurs equally often. */
export function createPlans(count: number, seed: number, faults: readonly Fault[] = FAULTS): Plan[] {
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
    .map((plan, index) => ({ ...plan, fault: faults[index % faults.length] ?? "none" }));
}

/** The steps between a decision and the end of its training. */
export const TRAINING_KILL_POINTS = KILL_POINTS.filter((point) =>
  /^(trainer\.|stage\.(act|training)|database\.(claim|updateDispatch|readDispatch|readLatest)|chain\.\w+NextLook)/.test(
    point,
  ),
);

/** Combines each misbehaviour of GitHub with a kill at each point between a decision and the end of its training. */
export function createGitHubPlans(seed: number): Plan[] {
  const names = Object.keys(MISBEHAVIOURS) as MisbehaviourName[];
  const [base] = createPlans(1, seed);
  if (!base) throw new Error("No plan was generated");
  return names.flatMap((github) =>
    TRAINING_KILL_POINTS.map((killAt) => ({
      ...base,
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
