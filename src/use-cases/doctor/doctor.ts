import type { Redis } from "ioredis";
import { INBOX } from "../../../queues/names.ts";
import { schedulerId } from "../../../queues/schedule.ts";
import type { Config, ModelConfig } from "../../config/config.ts";
import { messageOf } from "../../core/errors.ts";
import { type Finding, fault, ok, warning } from "../../core/finding.ts";
import type { Logger } from "../../process/logger.ts";
import { createDatabase, type Database } from "../../postgres/database.ts";
import { databaseAddress } from "../../postgres/explain-error.ts";
import { checkRedis, parseInfo } from "../../redis/check.ts";
import { connectRedis, probeRedis, redisAddress } from "../../redis/connection.ts";
import { openQueue } from "../../redis/open-queue.ts";
import { createRedactor } from "../../process/redact.ts";
import { createServerState } from "../../process/server-state.ts";
import { createTrainer } from "../../trainers/registry.ts";

/** Checks everything that a decision needs, and says how to fix what is wrong. */
export async function diagnose(config: Config, log: Logger): Promise<Finding[]> {
  const database = createDatabase(config, log);
  try {
    const trainer = await createTrainer(config, createRedactor(config.secrets));
    return [
      ...(await diagnosePostgres(config, database)),
      ...(await diagnoseRedis(config, log)),
      ...(await trainer.preflight()),
    ];
  } finally {
    await database.close();
  }
}

async function diagnosePostgres(config: Config, database: Database): Promise<Finding[]> {
  try {
    await database.ping();
  } catch (error) {
    return [fault(messageOf(error))];
  }
  const findings = [ok(`Postgres at ${databaseAddress(config.databaseUrl)} answers`)];
  for (const [model, own] of config.models) findings.push(...(await diagnoseSources(database, model, own)));
  try {
    const pending = await database.findPendingMigrations();
    findings.push(
      pending.length === 0
        ? ok("Retrigger's tables are up to date")
        : fault(`Migrations have not run: ${pending.join(", ")}`, "npx retrigger migrate"),
    );
  } catch (error) {
    findings.push(fault(messageOf(error), "npx retrigger migrate, as a user who may create tables"));
  }
  return findings;
}

const SOURCE_COLUMNS = {
  driftAlertsTable: [
    "id",
    "alert_date",
    "feature_name",
    "drift_score",
    "threshold",
    "alert_triggered",
    "notes",
  ],
  ratingsBufferTable: ["timestamp", "batch_id"],
} as const;

async function diagnoseSources(database: Database, model: string, own: ModelConfig): Promise<Finding[]> {
  const findings: Finding[] = [];
  for (const [key, needed] of Object.entries(SOURCE_COLUMNS)) {
    const table = own[key as keyof typeof SOURCE_COLUMNS];
    const setting = key === "driftAlertsTable" ? "DRIFT_ALERTS_TABLE" : "RATINGS_BUFFER_TABLE";
    const columns = await database.listColumns(table);
    const missing = needed.filter((column) => !columns?.readable.includes(column));
    if (columns === null) {
      findings.push(
        fault(`${model}: there is no table or view ${table}`, `make it, or name another one in ${setting}`),
      );
    } else if (missing.some((column) => !columns.all.includes(column))) {
      const absent = missing.filter((column) => !columns.all.includes(column));
      findings.push(
        fault(
          `${model}: ${table} has no column ${absent.join(", ")}`,
          `add it, or name a view that has it in ${setting}`,
        ),
      );
    } else if (missing.length > 0) {
      findings.push(
        fault(
          `${model}: ${table} may not be read by this user`,
          `GRANT SELECT ON ${table} TO the user of DATABASE_URL`,
        ),
      );
    } else {
      findings.push(ok(`${model}: ${table} has the columns that are read`));
    }
  }
  return findings;
}

async function diagnoseRedis(config: Config, log: Logger): Promise<Finding[]> {
  try {
    const { state, findings } = await probeRedis(config.redisUrl, async (redis) => ({
      state: await checkRedis(redis, config),
      findings: await diagnoseRedisSettings(redis),
    }));
    const answers = ok(`Redis at ${redisAddress(config.redisUrl)} answers`);
    if (state.kind === "away") throw state.error;
    if (state.kind === "refusing")
      return [answers, fault(state.refusal.text, state.refusal.remedy), ...findings];
    return [answers, ok("Redis takes writes"), ...findings, ...(await diagnoseQueues(config, log))];
  } catch (error) {
    return [fault(messageOf(error))];
  }
}

async function diagnoseRedisSettings(redis: Redis): Promise<Finding[]> {
  const info = parseInfo(await redis.info());
  const valueOf = (name: string): string => info.get(name) ?? "";
  const version = valueOf("redis_version");
  const [major = 0, minor = 0] = version.split(".").map(Number);
  const policy = valueOf("maxmemory_policy");
  const hasSnapshots = /^save\b.*\d/.test((await readSetting(redis, "save")) ?? "");
  return [
    major > 6 || (major === 6 && minor >= 2)
      ? ok(`Redis ${version} is recent enough`)
      : fault(`Redis ${version} is too old`, "update to 6.2 or later"),
    policy === "noeviction"
      ? ok("Redis evicts nothing (maxmemory-policy noeviction)")
      : fault(
          `Redis may evict jobs (maxmemory-policy ${policy})`,
          "redis-cli CONFIG SET maxmemory-policy noeviction, and in redis.conf",
        ),
    valueOf("aof_enabled") === "1"
      ? ok("Redis keeps its jobs (appendonly yes)")
      : {
          level: "warning",
          text: `Redis ${hasSnapshots ? "keeps snapshots only" : "keeps nothing"}: a crash loses waiting events`,
          remedy: "redis-cli CONFIG SET appendonly yes, and in redis.conf",
        },
  ];
}

/** A line "name value" of CONFIG GET; null if the provider forbids the command. */
async function readSetting(redis: Redis, name: string): Promise<string | null> {
  const answer = await redis.config("GET", name).catch(() => null);
  return Array.isArray(answer) ? answer.join(" ") : null;
}

async function diagnoseQueues(config: Config, log: Logger): Promise<Finding[]> {
  const connection = connectRedis(config.redisUrl, createServerState("Redis", log), { failFast: false });
  const inbox = openQueue(INBOX, { connection, prefix: config.redisPrefix }, log);
  try {
    const workers = await inbox.getWorkersCount();
    const findings: Finding[] = [
      workers > 0
        ? ok(`${workers} worker process(es) take jobs`)
        : warning("No worker is running: events wait", "npm start"),
    ];
    for (const [model, { schedule }] of config.models) {
      if (schedule === null) {
        findings.push(ok(`${model}: no schedule (SCHEDULE=off)`));
        continue;
      }
      const next = (await inbox.getJobScheduler(schedulerId(model)))?.next;
      // A due job may have to wait for a worker: a schedule counts as dead only after a minute.
      const isAlive = next !== undefined && next > Date.now() - 60_000;
      findings.push(
        isAlive
          ? ok(`${model}: the schedule ${schedule} (UTC) fires next at ${new Date(next).toISOString()}`)
          : fault(`${model}: the schedule ${schedule} is not alive`, "npm start puts it back"),
      );
    }
    return findings;
  } finally {
    await inbox.close();
    connection.disconnect();
  }
}
