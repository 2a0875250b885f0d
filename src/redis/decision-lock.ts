import type { RedisConnection } from "./target.ts";

/** What becomes of a request for a decision. */
type Entry =
  | { outcome: "entered" }
  /** Another run is in progress or about to start. `runId` is the follow-up that will cover this request. */
  | { outcome: "folded"; runId: string };

/**
 * The lock that lets only one run per model work at a time. Its token is the run's id, and every script changes it only for
 * its holder. The lock only saves work: decisions are kept correct by the compare-and-set in Postgres.
 *
 * The id of the follow-up that waits for the lock is stored next to it. While a follow-up waits, new requests fold into it
 * even if the lock is free: it has not taken its snapshot yet, so it covers them.
 */
export interface DecisionLock {
  /** Takes the lock for a new run, or folds the request into the waiting follow-up; if none waits, `candidate` becomes it. */
  enter(model: string, runId: string, candidate: string): Promise<Entry>;
  /** Takes the lock for a follow-up, into which no more requests fold from then on; false while another run has the lock. */
  enterFollowUp(model: string, runId: string): Promise<boolean>;
  /** Returns the follow-up that re-evaluates after a superseded run: the one already waiting, or else `candidate`. */
  fold(model: string, candidate: string): Promise<string>;
  /** Withdraws a candidate that `enter` made the follow-up, if its request turned out not to need one. */
  unfold(model: string, candidate: string): Promise<void>;
  /**
   * When a stage begins: takes the lock, even if it has expired since the last stage; "lost" if another run has it. Asks Redis
   * only if this process has not just taken or renewed it.
   */
  hold(model: string, runId: string): Promise<"held" | "taken" | "lost">;
  /** While a stage works: extends the lock, if this run still has it. */
  renew(model: string, runId: string): Promise<void>;
  /**
   * Releases the lock, if this run has it. Returns the follow-up that waits for the lock; null if none waits or another run
   * has the lock.
   */
  leave(model: string, runId: string): Promise<string | null>;
}

/** @param ttlMs Lifetime of the lock between renewals. */
export function createDecisionLock(redis: RedisConnection, prefix: string, ttlMs: number): DecisionLock {
  const commands = defineScripts(redis);
  const confirmed = createConfirmations(ttlMs / 3);
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
      if (folded !== null) return { outcome: "folded", runId: folded };
      confirmed.add(model, runId);
      return { outcome: "entered" };
    },
    async enterFollowUp(model, runId) {
      const isEntered = (await commands.retriggerEnterFollowUp(...keysOf(model), runId, ttlMs)) === 1;
      if (isEntered) confirmed.add(model, runId);
      return isEntered;
    },
    fold: (model, candidate) => commands.retriggerFold(...keysOf(model), candidate, FOLLOW_UP_TTL_MS),
    async unfold(model, candidate) {
      await commands.retriggerUnfold(keysOf(model)[1], candidate);
    },
    async hold(model, runId) {
      if (confirmed.has(model, runId)) return "held";
      const found = await commands.retriggerHold(keysOf(model)[0], runId, ttlMs);
      if (found !== "lost") confirmed.add(model, runId);
      return found;
    },
    async renew(model, runId) {
      const isRenewed = (await commands.retriggerRenew(keysOf(model)[0], runId, ttlMs)) === 1;
      if (isRenewed) confirmed.add(model, runId);
      else confirmed.remove(runId);
    },
    leave(model, runId) {
      confirmed.remove(runId);
      return commands.retriggerLeave(...keysOf(model), runId);
    },
  };
}

/** The runs that were found to have their model's lock during the last `validMs`. */
function createConfirmations(validMs: number) {
  // In the order in which they expire.
  const runs = new Map<string, { model: string; at: number }>();
  return {
    add(model: string, runId: string): void {
      const now = performance.now();
      // Runs that another process went on with.
      for (const [other, { at }] of runs) {
        if (now - at < validMs) break;
        runs.delete(other);
      }
      runs.delete(runId);
      runs.set(runId, { model, at: now });
    },
    has(model: string, runId: string): boolean {
      const found = runs.get(runId);
      return found?.model === model && performance.now() - found.at < validMs;
    },
    remove: (runId: string): boolean => runs.delete(runId),
  };
}

// A follow-up's id outlives its job only if a process died between storing the id and adding the job, and no later request
// added it. Then the id expires after this time.
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
  retriggerRenew(lock: string, runId: string, ttlMs: number): Promise<1 | null>;
  retriggerLeave(lock: string, next: string, runId: string): Promise<string | null>;
}

function defineScripts(redis: RedisConnection): Scripts {
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
