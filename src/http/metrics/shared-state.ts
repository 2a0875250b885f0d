import { limitLabels, MOST_LABELLED_MODELS } from "../../core/label-limit.ts";
import type { LatestGauges } from "../../postgres/model-gauges.ts";
import { readQueueAges } from "../../redis/queue-ages.ts";
import { checkReadiness } from "../readiness.ts";
import type { RouteDependencies } from "../route.ts";
import type { ModelState, QueueState, SharedState } from "./state-gauges.ts";

type Dependencies = Pick<
  RouteDependencies,
  "config" | "live" | "database" | "redis" | "redisWatch" | "queues"
>;

/** How long a reading serves all scrapers. */
const KEPT_MS = 5_000;

/**
 * Returns a function that reads the state that all processes share: from counters and by searches of indexes, so that it
 * takes no longer as the tables grow.
 */
export function createStateReader(dependencies: Dependencies): () => Promise<SharedState> {
  const readModels = createModelReader(dependencies);
  return keepFor(KEPT_MS, async () => {
    const { database, redisWatch } = dependencies;
    const { postgres, redis, reason } = await checkReadiness(database, redisWatch);
    const servers = { postgres: postgres === "up", redis: redis === "up" && reason === undefined };
    const [queues, dispatches, models] = await Promise.all([
      redis === "up" ? readQueues(dependencies) : null,
      postgres === "up" ? readDispatches(dependencies) : null,
      postgres === "up" ? readModels() : null,
    ]);
    return { servers, queues, dispatches, models };
  });
}

/** Callers within `ms` of the last one's start share its result, unless it failed. */
function keepFor<T>(ms: number, read: () => Promise<T>): () => Promise<T> {
  let kept: { result: Promise<T>; until: number } | null = null;
  return () => {
    if (kept !== null && performance.now() < kept.until) return kept.result;
    const result = read();
    const reading = { result, until: performance.now() + ms };
    kept = reading;
    result.catch(() => {
      if (kept === reading) kept = null;
    });
    return result;
  };
}

async function readQueues({ queues, redis, config }: Dependencies): Promise<QueueState> {
  const [{ jobs, schedules }, ...counts] = await Promise.all([
    readQueueAges(redis, config.redisPrefix, Date.now()),
    ...queues.map(async (queue) => ({ queue: queue.name, counts: await queue.getJobCounts() })),
  ]);
  return { counts, ages: jobs, scheduleLag: schedules };
}

/** The models of these settings come first, then others that share the database, by name. */
async function readDispatches({ database, live }: Dependencies): Promise<SharedState["dispatches"]> {
  const counts = await database.countDispatches();
  const labelOf = limitLabels([...live.models().keys(), ...counts.map(({ model }) => model)]);
  return counts.map((count) => ({ ...count, model: labelOf(count.model) }));
}

/** Keeps what was read of each model until it has a newer decision. */
function createModelReader({ database, live }: Dependencies) {
  let known: ReadonlyMap<string, LatestGauges> = new Map();
  return async (): Promise<ReadonlyMap<string, ModelState>> => {
    const models = [...live.models()].slice(0, MOST_LABELLED_MODELS);
    const before = known;
    const ids = new Map(models.map(([model]) => [model, before.get(model)?.id ?? 0]));
    const latest = await database.listModelGauges(ids);
    known = new Map(
      latest.map((row) => [
        row.model,
        { ...row, gauges: row.gauges ?? before.get(row.model)?.gauges ?? null },
      ]),
    );
    return new Map(
      models.map(([model, { expectDriftRunEveryMs }]) => [
        model,
        {
          expectsRunEvery: expectDriftRunEveryMs === null ? null : expectDriftRunEveryMs / 1000,
          latest: known.get(model)?.gauges ?? null,
        },
      ]),
    );
  };
}
