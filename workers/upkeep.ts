import type { Queue } from "bullmq";
import type { Redis } from "ioredis";
import { type Claims, syncSchedules } from "../queues/schedule.ts";
import { messageOf, ServerAwayError } from "../src/errors.ts";
import { isSettledWithin } from "../src/lifecycle.ts";
import type { Logger } from "../src/logger.ts";
import type { Database } from "../src/postgres/database.ts";
import type { ServerState } from "../src/server-state.ts";
import type { DecisionLock } from "../src/redis/decision-lock.ts";
import type { Chain } from "./chain.ts";
import { lookAgain } from "./follow-up.ts";

export interface UpkeepDependencies {
  lock: DecisionLock;
  chain: Chain;
  redis: Redis;
  redisState: ServerState;
  /** Prefix of the key by which an emptied Redis is recognised. */
  prefix: string;
  inbox: Queue;
  /** Cron pattern of each model, null for none. */
  schedules: ReadonlyMap<string, string | null>;
  /** What this process and others on the prefix say of their models. */
  claims: Claims;
  database: Pick<Database, "listOpenRuns" | "listOpenTrainings" | "moveEvents">;
  training: Queue;
  /** Sees to it that a training is followed to its end. */
  followTraining(job: { runId: string; model: string }): Promise<void>;
  log: Logger;
}

export interface Upkeep {
  /** Looks soon whether something is to be put back. */
  lookSoon(): void;
  stop(): Promise<void>;
}

const INTERVAL_MS = 5_000;
/** A Redis that answers nothing for so long is away, though its connection stands. */
const ANSWER_LIMIT_MS = 3_000;
/** How often it looks without a reason. Seldom, because a database in the cloud may be paid by the hour awake. */
const LOOKS_WITHOUT_REASON_MS = 60 * 60_000;
/** Twice, five seconds apart: what is a second old at the first look may still be on its way. */
const LOOKS = 2;

/**
 * Puts back what Redis lost, as far as Postgres and the settings know of it: the schedules, the chains of runs that
 * events or dispatches wait for, and the jobs that follow trainings. It looks at its start, when Redis comes back or was emptied, when an inbox job failed for
 * good, and once an hour; meanwhile it asks Redis for one key every five seconds.
 */
export async function startUpkeep(dependencies: UpkeepDependencies): Promise<Upkeep> {
  const { redis, redisState, prefix, inbox, schedules, claims, log } = dependencies;
  const marker = `${prefix}:upkeep`;
  let looksLeft = LOOKS;
  let lookedAt = 0;
  let lastFailure = "";
  let isStopped = false;
  let timer: NodeJS.Timeout | undefined;

  const lookSoon = (): void => {
    looksLeft = LOOKS;
  };

  async function look(): Promise<void> {
    const asked = redis.exists(marker);
    if (!(await isSettledWithin(asked, ANSWER_LIMIT_MS)))
      redisState.away("upkeep", `no answer in ${ANSWER_LIMIT_MS} ms`);
    if ((await asked) === 0) lookSoon();
    redisState.back("upkeep");
    if (looksLeft === 0 && performance.now() - lookedAt < LOOKS_WITHOUT_REASON_MS) return;
    await syncSchedules(inbox, schedules, claims);
    await resumeRuns(dependencies);
    await resumeTrainings(dependencies);
    await redis.set(marker, new Date().toISOString());
    lookedAt = performance.now();
    looksLeft = Math.max(0, looksLeft - 1);
  }

  async function takeTurn(): Promise<void> {
    try {
      await look();
    } catch (error) {
      const message = messageOf(error);
      // A server that is away has a line of its own.
      const level = error instanceof ServerAwayError || message === lastFailure ? "debug" : "warn";
      log[level](`upkeep failed, and will be tried again: ${message}`);
      lastFailure = message;
    }
    if (!isStopped) timer = setTimeout(() => void (turn = takeTurn()), INTERVAL_MS);
  }

  redis.on("ready", lookSoon);
  let turn = takeTurn();
  await turn;
  return {
    lookSoon,
    async stop() {
      isStopped = true;
      redis.off("ready", lookSoon);
      clearTimeout(timer);
      await turn;
    },
  };
}

/** Gives a new chance to each run that something in Postgres waits for, and that is neither in Redis nor at its end. */
async function resumeRuns({ lock, chain, database, log }: UpkeepDependencies): Promise<void> {
  for (const { runId, model, lacks } of await database.listOpenRuns()) {
    const state = await chain.stateOf(runId);
    if (state === "open" || (state === "absent" && (await chain.hasFollowUp(runId)))) continue;
    if (state === "absent") await chain.requestFollowUp(model, runId, "missing");
    // It decided, and a person has let it ask again.
    else if (lacks === "dispatch") await chain.actAgain(runId);
    // Its chain is over without a decision: it was superseded, and handed its events on before this one came.
    else await lookAgain({ lock, chain, database }, model, runId);
    log.info({ runId, model }, "run resumed");
  }
}

/** Has each training followed that nobody follows. */
async function resumeTrainings({
  database,
  training,
  followTraining,
  log,
}: UpkeepDependencies): Promise<void> {
  for (const { runId, model, isUnderWay } of await database.listOpenTrainings()) {
    const job = await training.getJobState(runId);
    // One that ended too early is to go on; one that ended after a failure has done what was to be done.
    const isOver = job === "completed" || job === "failed";
    if (job !== "unknown" && !(isOver && isUnderWay)) continue;
    await followTraining({ runId, model });
    log.info({ runId, model }, "training followed again");
  }
}
