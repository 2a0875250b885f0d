import type { RedisConnection } from "../src/redis/target.ts";
import { z } from "zod";
import type { QueueName } from "../queues/names.ts";
import type { NotifyEnd } from "../queues/notifications.ts";
import { parseJson } from "../src/core/parse.ts";
import { announceRecovery } from "../src/core/report/announce.ts";
import type { Database } from "../src/postgres/database.ts";
import type { Logger } from "../src/process/logger.ts";

/** The failed run of a model, of which receivers were notified. */
const Failure = z.object({
  runId: z.string(),
  queue: z.string(),
  /** Of the notification. */
  suffix: z.string(),
  /** Unix milliseconds. */
  at: z.number(),
});

/** Remembers the models of which a failed run was notified, and notifies once they are decided about again. */
export interface FailedModels {
  failed(model: string, failure: { runId: string; queue: QueueName; suffix: string }): Promise<void>;
  /** To be called after each decision; asks Redis for models that are known to have failed only. Never rejects. */
  decided(model: string, decisionId: number): Promise<void>;
  /** Learns which models have failed in other processes. */
  refresh(): Promise<void>;
  /** Closes what a process that ended could not close. */
  closeDecided(): Promise<void>;
}

export interface FailedModelsDependencies {
  redis: RedisConnection;
  prefix: string;
  database: Pick<Database, "readLatestDecision">;
  notifyEnd: NotifyEnd;
  /** Without receivers nothing is remembered. */
  hasTargets: boolean;
  log: Logger;
}

/** A decision may be noticed that much sooner than the failure before it, which another process has recorded. */
const REFRESH_LIMIT_MS = 60_000;

/** The clocks of Postgres and of the workers differ a little. */
const CLOCK_MARGIN_MS = 60_000;

/** Removes a failure if it is still the one that was closed. */
const REMOVE = `if redis.call('HGET', KEYS[1], ARGV[1]) == ARGV[2] then return redis.call('HDEL', KEYS[1], ARGV[1]) end`;

export function createFailedModels(dependencies: FailedModelsDependencies): FailedModels {
  const { redis, prefix, database, notifyEnd, hasTargets, log } = dependencies;
  const key = `${prefix}:failed-models`;
  let known = new Set<string>();
  /** The decisions of the last minute. */
  const recent = new Map<string, { decisionId: number; at: number }>();

  /** @param isOver Whether the failure is older than what shows that it is over. */
  async function close(
    model: string,
    decisionId: number | null,
    isOver: (at: number) => boolean,
  ): Promise<void> {
    const text = await redis.hget(key, model);
    const failure = Failure.safeParse(parseJson(text ?? "")).data;
    if (text === null || (failure && !isOver(failure.at))) return;
    if (failure) {
      const { runId, queue, suffix } = failure;
      const resolves = { kind: "chain_failed", runId, decisionId: null } as const;
      const notification = { kind: "chain_recovered", model, runId, decisionId, resolves } as const;
      await notifyEnd(
        { kind: "chain_failed", runId, suffix },
        { ...notification, text: announceRecovery(model, { decisionId, runId, queue }) },
      );
    }
    await redis.eval(REMOVE, 1, key, model, text);
    known.delete(model);
  }

  return {
    async failed(model, failure) {
      if (!hasTargets) return;
      // The first one that is open counts: it is closed once, however many runs failed after it.
      await redis.hsetnx(key, model, JSON.stringify({ ...failure, at: Date.now() }));
      known.add(model);
    },
    async decided(model, decisionId) {
      if (!hasTargets) return;
      const at = Date.now();
      recent.delete(model);
      recent.set(model, { decisionId, at });
      if (!known.has(model)) return;
      await close(model, decisionId, (failedAt) => failedAt <= at).catch((error: unknown) =>
        log.debug({ err: error, model }, "the end of a failure is notified later"),
      );
    },
    async refresh() {
      if (!hasTargets) return;
      known = new Set(await redis.hkeys(key));
      for (const [model, { decisionId, at }] of recent) {
        if (known.has(model)) await close(model, decisionId, (failedAt) => failedAt < at);
        if (Date.now() - at > REFRESH_LIMIT_MS) recent.delete(model);
      }
    },
    async closeDecided() {
      for (const model of known) {
        const takenAt = (await database.readLatestDecision(model))?.takenAt ?? 0;
        await close(model, null, (failedAt) => takenAt > failedAt + CLOCK_MARGIN_MS);
      }
    },
  };
}
