import type { Redis } from "ioredis";

/** What a request for a decision finds at the door of its model. */
export type Entry =
  | { outcome: "entered" }
  /** Another run is under way or about to be: `runId` is the follow-up that will cover this request. */
  | { outcome: "folded"; runId: string };

/**
 * The lock that keeps runs about one model apart. Its token is the run's id; every script changes it only for its
 * holder. It saves work, and is not what decisions rest on: that is the compare-and-set in Postgres.
 *
 * Beside the lock stands the id of the follow-up that waits for it. While one waits, new requests fold into it even
 * when the lock is free: its snapshot is still to come, so it covers them.
 */
export interface DecisionLock {
  /** Takes the lock for a new run, or folds the request into the follow-up; `candidate` becomes it where none waits. */
  enter(model: string, runId: string, candidate: string): Promise<Entry>;
  /** Takes the lock for a follow-up, which from then on takes no more requests in; false while another run has it. */
  enterFollowUp(model: string, runId: string): Promise<boolean>;
  /** Names the follow-up that looks again after a superseded run: the one that waits already, or else `candidate`. */
  fold(model: string, candidate: string): Promise<string>;
  /** Takes back a candidate that `enter` made the follow-up, for a request that turned out to need none. */
  unfold(model: string, candidate: string): Promise<void>;
  /** For a stage that begins: takes the lock, also where it lapsed since the last stage; "lost" where another run has it. */
  hold(model: string, runId: string): Promise<"held" | "taken" | "lost">;
  /** For a stage at work: prolongs the lock, if this run still has it. */
  renew(model: string, runId: string): Promise<void>;
  /** Gives the lock back, if this run has it. Answers the follow-up that waits for the lock, null while another run has it. */
  leave(model: string, runId: string): Promise<string | null>;
}

/** @param ttlMs Lifetime of the lock between renewals. */
export function createDecisionLock(redis: Redis, prefix: string, ttlMs: number): DecisionLock {
  const commands = defineScripts(redis);
  const keysOf = (model: string) =>
    [`${prefix}:decision-lock:${model}`, `${prefix}:follow-up:${model}`] as const;
  return {
    async enter(model, runId, candidate) {
      const folded = await commands.retriggerEnter(
        ...keysOf(model),
        runId,
        ttlMs,
        candidate,
        FOLLOW_UP_TTL_MS,
      );
      return folded === null ? { outcome: "entered" } : { outcome: "folded", runId: folded };
    },
    async enterFollowUp(model, runId) {
      return (await commands.retriggerEnterFollowUp(...keysOf(model), runId, ttlMs)) === 1;
    },
    fold: (model, candidate) => commands.retriggerFold(...keysOf(model), candidate, FOLLOW_UP_TTL_MS),
    async unfold(model, candidate) {
      await commands.retriggerUnfold(keysOf(model)[1], candidate);
    },
    hold: (model, runId) => commands.retriggerHold(keysOf(model)[0], runId, ttlMs),
    async renew(model, runId) {
      await commands.retriggerRenew(keysOf(model)[0], runId, ttlMs);
    },
    leave: (model, runId) => commands.retriggerLeave(...keysOf(model), runId),
  };
}

// A follow-up's name outlives its job only where a process died between naming it and adding it, and no other request
// came to add it. Then this is how long the name stands.
const FOLLOW_UP_TTL_MS = 10 * 60 * 1000;

interface Scripts {
  retriggerEnter(
    lock: string,
    next: string,
    runId: string,
    ttlMs: number,
    candidate: string,
    nextTtlMs: number,
  ): Promise<string | null>;
  retriggerEnterFollowUp(lock: string, next: string, runId: string, ttlMs: number): Promise<0 | 1>;
  retriggerFold(lock: string, next: string, candidate: string, nextTtlMs: number): Promise<string>;
  retriggerUnfold(next: string, candidate: string): Promise<unknown>;
  retriggerHold(lock: string, runId: string, ttlMs: number): Promise<"held" | "taken" | "lost">;
  retriggerRenew(lock: string, runId: string, ttlMs: number): Promise<unknown>;
  retriggerLeave(lock: string, next: string, runId: string): Promise<string | null>;
}

function defineScripts(redis: Redis): Scripts {
  redis.defineCommand("retriggerEnter", {
    numberOfKeys: 2,
    lua: `
      local holder = redis.call('GET', KEYS[1])
      local next = redis.call('GET', KEYS[2])
      if holder ~= ARGV[1] and (holder or next) then
        if not next then
          next = ARGV[3]
          redis.call('SET', KEYS[2], next, 'PX', ARGV[4])
        end
        return next
      end
      redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
      return false`,
  });
  redis.defineCommand("retriggerEnterFollowUp", {
    numberOfKeys: 2,
    lua: `
      local holder = redis.call('GET', KEYS[1])
      if holder and holder ~= ARGV[1] then return 0 end
      redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
      if redis.call('GET', KEYS[2]) == ARGV[1] then redis.call('DEL', KEYS[2]) end
      return 1`,
  });
  redis.defineCommand("retriggerFold", {
    numberOfKeys: 2,
    lua: `
      local next = redis.call('GET', KEYS[2])
      if not next then
        next = ARGV[1]
        redis.call('SET', KEYS[2], next, 'PX', ARGV[2])
      end
      return next`,
  });
  redis.defineCommand("retriggerUnfold", {
    numberOfKeys: 1,
    lua: `if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end`,
  });
  redis.defineCommand("retriggerHold", {
    numberOfKeys: 1,
    lua: `
      local holder = redis.call('GET', KEYS[1])
      if holder and holder ~= ARGV[1] then return 'lost' end
      redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
      return holder and 'held' or 'taken'`,
  });
  redis.defineCommand("retriggerRenew", {
    numberOfKeys: 1,
    lua: `if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('PEXPIRE', KEYS[1], ARGV[2]) end`,
  });
  redis.defineCommand("retriggerLeave", {
    numberOfKeys: 2,
    lua: `
      local holder = redis.call('GET', KEYS[1])
      if holder and holder ~= ARGV[1] then return false end
      if holder then redis.call('DEL', KEYS[1]) end
      return redis.call('GET', KEYS[2])`,
  });
  return redis as unknown as Scripts;
}
