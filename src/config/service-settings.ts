import { z } from "zod";
import { type Settings, wholeNumber } from "../core/setting.ts";
import { addressList, roleByGroup } from "../settings/access-schemas.ts";
import {
  cronOrOff,
  hostName,
  postgresUrl,
  schemaName,
  secret,
  serverUrl,
  tableName,
  timeZone,
  urlWithoutLogin,
} from "../settings/schemas.ts";
import { serverList } from "../settings/server-list.ts";
import { TRAINERS } from "../trainers/registry.ts";

/** The settings of the service itself; checks and trainers define their own. */
export const SERVICE_SETTINGS = {
  databaseUrl: {
    variable: "DATABASE_URL",
    schema: postgresUrl,
    meaning:
      "Required. Postgres 14 or later (tested: 15, 18); [several hosts](operations.md#failover) and [TLS](operations.md#tls) as in libpq.",
    secret: "login",
  },
  neonUrl: {
    variable: "NEON_CONNECTION_STRING",
    schema: postgresUrl,
    meaning: "Read if `DATABASE_URL` is not set.",
    secret: "login",
  },
  databaseSchema: {
    variable: "RETRIGGER_SCHEMA",
    schema: schemaName,
    meaning:
      "Schema of Retrigger's own tables: see [operations](operations.md#a-schema-of-its-own). Otherwise they are where the role's `search_path` leads.",
  },
  databasePoolMax: {
    variable: "DATABASE_POOL_MAX",
    // Three connections may be occupied by slow models.
    schema: wholeNumber(5, 100),
    default: "10",
    meaning: "Maximum number of connections to Postgres per process; 5 or more.",
  },
  redisUrl: {
    variable: "REDIS_URL",
    schema: serverUrl(["redis", "rediss"]),
    meaning:
      "Required by the service and by commands that queue something. Redis 6.2 or later, or Valkey (tested: 7.0, Valkey 8.0).",
    secret: "login",
  },
  redisClusterNodes: {
    variable: "REDIS_CLUSTER_NODES",
    schema: serverList,
    meaning:
      "Nodes of a Redis Cluster, as `host:port` separated by commas; the others are found. See [Redis Cluster](operations.md#redis-cluster).",
    secret: "hidden",
  },
  redisSentinels: {
    variable: "REDIS_SENTINELS",
    schema: serverList,
    meaning:
      "Sentinels that know the master, as `host:port` separated by commas. See [Sentinel](operations.md#sentinel).",
    secret: "hidden",
  },
  redisSentinelMaster: {
    variable: "REDIS_SENTINEL_MASTER",
    schema: z.string().regex(/^[\w.-]+$/, "must be the name that the sentinels have for the master"),
    default: "mymaster",
    meaning: "The name that the sentinels have for the master.",
  },
  redisSentinelPassword: {
    variable: "REDIS_SENTINEL_PASSWORD",
    schema: z.string(),
    meaning: "The password of the sentinels themselves, if they have one.",
    secret: "value",
  },
  redisPrefix: {
    variable: "REDIS_PREFIX",
    schema: z
      .string()
      .regex(
        /^\{[A-Za-z0-9_.-]+\}$/,
        "must be a name in braces, which keeps all keys in one Redis Cluster slot",
      ),
    default: "{retrigger}",
    meaning: "Prefix of all keys, in braces.",
  },
  schedule: {
    variable: "SCHEDULE",
    schema: cronOrOff,
    default: "0 6 * * *",
    meaning: "When to decide without an event: a cron pattern in UTC, or `off`.",
  },
  driftAlertsTable: {
    variable: "DRIFT_ALERTS_TABLE",
    schema: tableName,
    default: "drift_alerts",
    meaning: "Table or view with the drift checks, with or without a schema.",
  },
  ratingsBufferTable: {
    variable: "RATINGS_BUFFER_TABLE",
    schema: tableName,
    default: "ratings_buffer",
    meaning: "Table or view with the new data, with or without a schema.",
  },
  timeZone: {
    variable: "SOURCE_TIME_ZONE",
    schema: timeZone,
    default: "UTC",
    meaning: "IANA zone of timestamps without one, and of the times in reports.",
  },
  trainer: {
    variable: "TRAINER",
    schema: z.enum(TRAINERS.map(({ name }) => name)),
    default: "mock",
    meaning: `How trainings are started: ${TRAINERS.map(({ name }) => `\`${name}\``).join(", ")}.`,
  },
  pollSeconds: {
    variable: "TRAINING_POLL_SECONDS",
    schema: wholeNumber(1, 3_600),
    default: "20",
    meaning: "Pause between two polls of a training, varied by up to a quarter.",
  },
  lostAfterSeconds: {
    variable: "TRAINING_LOST_AFTER_SECONDS",
    schema: wholeNumber(60, 30 * 86_400),
    default: "86400",
    meaning:
      "A training without a sign of life for this long counts as failed. At least four times `TRAINING_POLL_SECONDS`.",
  },
  slackUrl: {
    variable: "SLACK_WEBHOOK_URL",
    schema: serverUrl(["http", "https"]),
    meaning: 'Notifications go to this Slack webhook, or to any other URL that accepts `{"text": ...}`.',
    // The path of an incoming webhook is a secret.
    secret: "value",
  },
  notificationUrl: {
    variable: "NOTIFICATION_URL",
    schema: serverUrl(["http", "https"]),
    meaning: "Notifications are posted here as CloudEvents.",
    secret: "value",
  },
  notificationSecret: {
    variable: "NOTIFICATION_SECRET",
    schema: secret,
    meaning: "Signs the notifications to `NOTIFICATION_URL`.",
    secret: "value",
  },
  mlflowSecret: {
    variable: "MLFLOW_WEBHOOK_SECRET",
    schema: secret,
    meaning:
      "The secret of MLflow's webhook, whose events say which model was promoted: see [outcomes](trust-outcomes.md#from-mlflows-registry).",
    secret: "value",
  },
  host: {
    variable: "HOST",
    schema: hostName,
    default: "127.0.0.1",
    meaning: "Address on which the pages, or the metrics of a worker, are served.",
  },
  port: {
    variable: "PORT",
    schema: wholeNumber(0, 65_535),
    default: "3000",
    meaning: "Port on which the pages are served.",
  },
  metricsPort: {
    variable: "METRICS_PORT",
    schema: wholeNumber(0, 65_535),
    meaning:
      "Port on which a process with `ROLE=worker` serves `/metrics`, `/healthz` and `/readyz`; the other roles serve them on `PORT`.",
  },
  publicUrl: {
    variable: "PUBLIC_URL",
    schema: urlWithoutLogin,
    meaning:
      "The URL at which people and programs reach the pages, if it is not this machine's loopback address.",
    secret: "hidden",
  },
  adminToken: {
    variable: "ADMIN_TOKEN",
    schema: z.string().regex(/^[\x21-\x7e]{24,200}$/, "must have 24 to 200 characters, without spaces"),
    meaning: "A token for an admin, with which to create others: `openssl rand -base64 32` makes one.",
    secret: "value",
  },
  trustedProxy: {
    variable: "TRUSTED_PROXY",
    schema: addressList,
    meaning:
      "Addresses or networks of proxies, separated by commas, whose `X-Forwarded-User` and `X-Forwarded-Groups` are believed.",
  },
  proxyRoles: {
    variable: "PROXY_ROLES",
    schema: roleByGroup,
    meaning:
      "Roles of the proxy's groups: `ml-team=operator,everyone=viewer`. A user without such a group is refused.",
  },
  role: {
    variable: "ROLE",
    schema: z.enum(["all", "worker", "web"]),
    default: "all",
    meaning: "What the process runs: `worker` (no pages), `web` (no workers), or `all`.",
  },
  lockTtlMs: {
    variable: "LOCK_TTL_MS",
    schema: wholeNumber(1_000, 3_600_000),
    default: "30000",
    meaning: "Lifetime of the decision lock between renewals.",
  },
  historyRuns: {
    variable: "HISTORY_RUNS",
    schema: wholeNumber(1_000, 1_000_000),
    default: "5000",
    meaning:
      "How many completed runs, and how many failed ones, Bull Board shows; older jobs are removed. At least 1,000, so that `decide --wait` still finds its run. See [scaling](scaling.md#redis).",
  },
  evidenceMaxAgeSeconds: {
    variable: "EVIDENCE_MAX_AGE_SECONDS",
    // A gather may take almost two minutes, and twice that if it waits for a count that models share; with a lower limit, a slow
    // model would be gathered again and again.
    schema: wholeNumber(240, 604_800),
    default: "900",
    meaning: "Older evidence is not acted on; a follow-up gathers it again. At least 240.",
  },
  logLevel: {
    variable: "LOG_LEVEL",
    schema: z.enum(["trace", "debug", "info", "warn", "error", "fatal", "silent"]),
    default: "info",
    meaning: "A pino level, or `silent`.",
  },
  serviceUrl: {
    variable: "RETRIGGER_URL",
    schema: urlWithoutLogin,
    meaning: "Commands talk to the service at this URL, instead of using the servers themselves (`--url`).",
  },
  serviceToken: {
    variable: "RETRIGGER_TOKEN",
    schema: z.string(),
    meaning: "The token with which commands talk to it (`--token`).",
    secret: "value",
  },
  configFile: {
    variable: "RETRIGGER_CONFIG",
    schema: z.string(),
    meaning: "YAML file for several models, other policies and sources: see [the file](#the-file).",
  },
} as const satisfies Settings;
