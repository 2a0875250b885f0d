import { randomBytes } from "node:crypto";
import { Queue } from "bullmq";
import pg from "pg";
import { inject } from "vitest";
import { INBOX_JOBS } from "../../queues/names.ts";
import { type App, type AppOptions, buildApp } from "../../src/app.ts";
import { type Config, parseConfig } from "../../src/config/config.ts";
import { messageOf } from "../../src/core/errors.ts";
import type { DecisionSummary } from "../../src/core/report/decision-summary.ts";
import { SOURCE_TABLES } from "../../src/embedded/sample-data.ts";
import { createSchemaClient } from "../../src/postgres/own-schema.ts";
import { createLogger } from "../../src/process/logger.ts";
import { openRedis, type RedisConnection } from "../../src/redis/target.ts";
import { type Client, createClient } from "../../src/use-cases/client.ts";
import { withDatabase } from "./database-url.ts";
import { listKeys } from "./redis-keys.ts";
import { SCHEMA_SETTING } from "./template.ts";
import { dumpRedis, dumpTables } from "./secrets.ts";
import { until } from "./until.ts";

export { until } from "./until.ts";

/** A separate database, with the source tables, and a queue prefix for one test. */
export interface World {
  /** The settings as a process gets them from its environment. */
  settings: Record<string, string>;
  config: Config;
  client: Client;
  redis: RedisConnection;
  sql<Row extends pg.QueryResultRow = pg.QueryResultRow>(text: string, values?: unknown[]): Promise<Row[]>;
  /** Starts the service in this process. */
  startApp(changes?: Partial<Config>, options?: AppOptions): Promise<App>;
  /** Stops the services in this process gracefully. */
  stopApps(): Promise<void>;
  /** Sends an event and waits for its decision. */
  decide(event?: object): Promise<DecisionSummary>;
  /** Stops everything and drops database and keys. */
  close(): Promise<void>;
}

export interface WorldOptions {
  settings?: Record<string, string>;
  /** Whether to omit the source tables and ours, for tests that create their own. */
  isEmpty?: boolean;
  /** Whether to omit our tables only. */
  isUnmigrated?: boolean;
}

export async function createWorld({
  settings = {},
  isEmpty = false,
  isUnmigrated = isEmpty,
}: WorldOptions = {}): Promise<World> {
  const name = `test_${randomBytes(6).toString("hex")}`;
  const admin = new pg.Client(inject("databaseUrl"));
  await admin.connect();
  await admin.query(
    `CREATE DATABASE ${name}${isUnmigrated ? "" : ` TEMPLATE ${inject("template")} STRATEGY FILE_COPY`}`,
  );
  const databaseUrl = withDatabase(inject("databaseUrl"), name);
  const allSettings = {
    DATABASE_URL: databaseUrl,
    ...(settings["REDIS_URL"] === undefined ? inject("redisSettings") : {}),
    REDIS_PREFIX: `{${name}}`,
    SCHEDULE: "off",
    PORT: "0",
    LOG_LEVEL: "silent",
    ...SCHEMA_SETTING,
    ...settings,
  };
  const config = parseConfig(allSettings);
  // Tests name our tables as statements do. Only these connections have a search path, not those of the code under test.
  const schema = config.databaseSchema;
  const pool = new pg.Pool({
    connectionString: databaseUrl,
    max: 3,
    ...(schema !== undefined && {
      Client: createSchemaClient(schema),
      options: `-c search_path=public,${schema}`,
    }),
  });
  pool.on("error", () => {});
  if (isUnmigrated && !isEmpty) await pool.query(SOURCE_TABLES);
  const log = createLogger("silent");
  const client = createClient(config, log);
  const redis = openRedis(config, {
    enableOfflineQueue: true,
    retryStrategy: (attempt) => Math.min(2_000, 50 * attempt),
    maxRedirections: 100,
  });
  redis.on("error", () => {});
  const apps: App[] = [];
  let eventCount = 0;
  return {
    settings: allSettings,
    config,
    client,
    redis,
    sql: async (text, values) => (await pool.query(text, values)).rows,
    async startApp(changes = {}, options = {}) {
      const app = buildApp({ ...config, role: "worker", ...changes }, log, options);
      apps.push(app);
      await app.start();
      return app;
    },
    async stopApps() {
      for (const app of apps.splice(0)) await app.stop();
    },
    async decide(event = {}) {
      eventCount += 1;
      const jobId = await client.send(INBOX_JOBS.event, { runId: `drift-${eventCount}`, ...event });
      return client.waitForDecision(jobId, { limitMs: 25_000 });
    },
    async close() {
      for (const app of apps) await app.stop();
      await client.close();
      try {
        const leaks = await findSecrets();
        if (leaks.length > 0)
          throw new Error(`Secrets leaked to places where others may read them: ${leaks.join(", ")}`);
      } finally {
        await removeAll();
      }
    },
  };

  async function removeAll(): Promise<void> {
    const keys = await listKeys(redis, `${config.redisPrefix}:*`);
    if (keys.length > 0) await redis.del(keys);
    redis.disconnect();
    await pool.end();
    await admin.query(`DROP DATABASE ${name} WITH (FORCE)`);
    await admin.end();
  }

  /** Searches the test's jobs and rows for the secrets of its settings. */
  async function findSecrets(): Promise<string[]> {
    const tables = await dumpTables(async (text, values) => (await pool.query(text, values)).rows);
    const places = { Postgres: tables, Redis: await dumpRedis(redis, config.redisPrefix) };
    return Object.entries(places).flatMap(([place, text]) =>
      [...config.secrets]
        .filter(([, secret]) => text.includes(secret))
        .map(([name]) => `${name} in ${place}`),
    );
  }
}

/** Puts `count` ratings into the buffer, under one batch id or none. */
export async function addRatings(
  world: Pick<World, "sql">,
  count: number,
  batch: string | null = "batch_w1",
): Promise<void> {
  await world.sql(
    `INSERT INTO ratings_buffer SELECT rating, rating, 3.5, 1700000000 + rating, $2, now()
     FROM generate_series(1, $1::int) AS rating`,
    [count, batch],
  );
}

/** Adds one drift check; by default a triggered KS alert of one hour ago. `age` is an SQL interval. */
export async function addCheck(
  world: Pick<World, "sql">,
  check: Partial<{
    age: string;
    feature: string | null;
    score: number | null;
    threshold: number | null;
    triggered: boolean | null;
  }> = {},
): Promise<void> {
  const {
    age = "1 hour",
    feature = "rating_distribution_ks",
    score = 0.0975,
    threshold = 0.05,
    triggered = true,
  } = check;
  await world.sql(
    `INSERT INTO drift_alerts (alert_date, feature_name, drift_score, threshold, alert_triggered)
     VALUES ((now() AT TIME ZONE 'UTC') - $1::interval, $2, $3, $4, $5)`,
    [age, feature, score, threshold, triggered],
  );
}

/** Opens one of a world's queues while `use` runs. */
export async function withQueue<T>(
  { config, redis }: Pick<World, "config" | "redis">,
  name: string,
  use: (queue: Queue) => Promise<T>,
): Promise<T> {
  const queue = new Queue(name, { connection: redis, prefix: config.redisPrefix });
  try {
    return await use(queue);
  } finally {
    await queue.close();
  }
}

/** A condition on pg_locks, which shows the locks of every database of the server. */
export const IN_THIS_DATABASE = "database = (SELECT oid FROM pg_database WHERE datname = current_database())";

/**
 * Locks a table against every other session, so that a gather blocks in the middle of its work until `release`.
 *
 * @param mode SHARE blocks only those that write.
 */
export async function holdTable(world: World, table: string, mode = "ACCESS EXCLUSIVE") {
  const schema = world.config.databaseSchema;
  const Client = schema === undefined ? pg.Client : createSchemaClient(schema);
  const client = new Client(world.config.databaseUrl);
  await client.connect();
  await client.query(`BEGIN; LOCK TABLE ${table} IN ${mode} MODE`);
  return {
    untilSessionWaits: () =>
      until("a session waits for the table", async () => {
        const waiting = await world.sql(
          // Tables of databases with the same template have the same number.
          `SELECT FROM pg_locks WHERE NOT granted AND relation = $1::regclass AND ${IN_THIS_DATABASE}`,
          [table],
        );
        return waiting.length > 0;
      }),
    async release(): Promise<void> {
      await client.query("ROLLBACK");
      await client.end();
    },
  };
}

/** Returns the message with which a promise rejects, and throws if it resolves. */
export async function failureOf(promise: Promise<unknown>): Promise<string> {
  try {
    await promise;
  } catch (error) {
    return messageOf(error);
  }
  throw new Error("The promise was expected to reject, but it resolved");
}

/** Changes that give each model this trainer. */
export function withTrainer(
  { models }: Pick<Config, "models">,
  trainer: Config["trainer"],
): Pick<Config, "trainer" | "models"> {
  return { trainer, models: new Map([...models].map(([name, own]) => [name, { ...own, trainer }])) };
}
