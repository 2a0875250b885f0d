import type { Queue } from "bullmq";
import { forEachAtOnce, REQUESTS_AT_ONCE } from "../../../queues/at-once.ts";
import { INBOX, QUEUES } from "../../../queues/names.ts";
import { findNextFiring, type NextFiring } from "../../../queues/schedule.ts";
import type { Config } from "../../config/config.ts";
import { messageOf } from "../../core/errors.ts";
import { about, fault, type Finding, ok, warning } from "../../core/finding.ts";
import type { Database } from "../../postgres/database.ts";
import type { Logger } from "../../process/logger.ts";
import { createServerState } from "../../process/server-state.ts";
import { checkRedis, parseInfo } from "../../redis/check.ts";
import { connectRedis, probeRedis } from "../../redis/connection.ts";
import { openQueue } from "../../redis/open-queue.ts";
import { type RedisConnection, redisAddress } from "../../redis/target.ts";
import { diagnoseJobs } from "./queues.ts";
import { diagnoseServers, listOwnServers } from "./redis-servers.ts";
import { diagnoseServices } from "./services.ts";

/** Checks Redis, its settings, the workers and the schedules. */
export async function diagnoseRedis(
  config: Config,
  database: Pick<Database, "identify" | "readLatestDecision">,
  log: Logger,
): Promise<Finding[]> {
  try {
    const { state, findings } = await probeRedis(config, async (redis) => ({
      state: await checkRedis(redis, config),
      findings: [
        ...(await diagnoseServers(redis, config)),
        ...(await diagnoseRedisSettings(await listOwnServers(redis, config.redisPrefix))),
      ],
    }));
    const responds = ok(`Redis at ${redisAddress(config)} responds`);
    if (state.kind === "away") throw state.error;
    if (state.kind === "refusing")
      return [responds, fault(state.refusal.text, state.refusal.remedy), ...findings];
    return [
      responds,
      ok("Redis accepts writes"),
      ...findings,
      ...(await diagnoseQueues(config, database, log)),
    ];
  } catch (error) {
    return [fault(messageOf(error))];
  }
}

/** The settings of each server; those that are alike are reported once. */
async function diagnoseRedisSettings(servers: readonly RedisConnection[]): Promise<Finding[]> {
  const findings = (await Promise.all(servers.map(diagnoseServerSettings))).flat();
  return findings.filter(({ text }, index) => findings.findIndex((other) => other.text === text) === index);
}

async function diagnoseServerSettings(redis: RedisConnection): Promise<Finding[]> {
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
      ? ok("Redis keeps its jobs across a restart (appendonly yes)")
      : {
          level: "warning",
          text: `Redis ${hasSnapshots ? "saves only snapshots" : "saves nothing to disk"}: a crash loses waiting events`,
          remedy: "redis-cli CONFIG SET appendonly yes, and in redis.conf",
        },
  ];
}

/** The reply of CONFIG GET as "name value"; null if the provider forbids the command. */
async function readSetting(redis: RedisConnection, name: string): Promise<string | null> {
  const reply = await redis.config("GET", name).catch(() => null);
  return Array.isArray(reply) ? reply.join(" ") : null;
}

async function diagnoseQueues(
  config: Config,
  database: Pick<Database, "identify" | "readLatestDecision">,
  log: Logger,
): Promise<Finding[]> {
  const connection = connectRedis(config, createServerState("Redis", log), { failFast: false });
  const queues = QUEUES.map((name) => openQueue(name, { connection, prefix: config.redisPrefix }, log));
  try {
    const inbox = queues.find(({ name }) => name === INBOX) as Queue;
    const workers = await inbox.getWorkersCount();
    const [services, jobs] = await Promise.all([
      diagnoseServices(config, connection, database),
      diagnoseJobs({ queues, redis: connection, database }, config, { workers, now: Date.now() }),
    ]);
    const findings: Finding[] = [...services, ...jobs];
    const next = await readNextFirings(inbox, config.models);
    for (const [model, { schedule }] of config.models) {
      if (schedule === null) {
        findings.push(about(model, ok("no schedule (SCHEDULE=off)")));
        continue;
      }
      const firing = next.get(model) ?? null;
      // A due job may have to wait for a worker, so a schedule counts as stopped only after a minute.
      const isAlive = firing !== null && firing.dueAt > Date.now() - 60_000;
      const finding = isAlive
        ? ok(`the schedule ${schedule} (UTC) fires next at ${new Date(firing.firesAt).toISOString()}`)
        : (workers > 0 ? fault : warning)(`the schedule ${schedule} is not running`, "npm start restores it");
      findings.push(about(model, finding, "the schedule is not running"));
    }
    return findings;
  } finally {
    await Promise.all(queues.map((queue) => queue.close()));
    connection.disconnect();
  }
}

/** When the schedules of models fire next. */
async function readNextFirings(
  inbox: ReturnType<typeof openQueue>,
  models: Config["models"],
): Promise<Map<string, NextFiring | null>> {
  const next = new Map<string, NextFiring | null>();
  await forEachAtOnce([...models], REQUESTS_AT_ONCE, async ([model, { schedule, spreadMs }]) => {
    if (schedule !== null)
      next.set(model, await findNextFiring(inbox, model, { schedule, spreadMs }, Date.now()));
  });
  return next;
}
