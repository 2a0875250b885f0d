import { readFileSync } from "node:fs";
import { parse as parseYaml } from "yaml";
import type { Policy } from "../core/policy.ts";
import { ConfigError, messageOf } from "../core/errors.ts";
import {
  describeIssue,
  findFaultyInputs,
  findContradictions,
  findMissingForTrainer,
  findUnknownSettings,
} from "./faults.ts";
import { ConfigFile, type ModelSettings, SETTING_NAMES, Settings } from "./schema.ts";
import { collectSecrets } from "./secrets.ts";
import { GITHUB_INPUTS, type GitHubTarget } from "../trainers/github/request.ts";

/** One model's policy, source tables, schedule and workflow. */
export interface ModelConfig {
  policy: Policy;
  /** The setting that holds the policy's minBufferSize, as a report names it. */
  minBufferSizeSetting: string;
  /** Table or view, with or without a schema: `drift_alerts`, `monitoring.drift_alerts`. */
  driftAlertsTable: string;
  ratingsBufferTable: string;
  /** Cron pattern in UTC; null if the model has no schedule. */
  schedule: string | null;
  /** The workflow that trains it, with the GitHub trainer. */
  github: GitHubTarget;
}

/** How to authenticate with GitHub. */
export type GitHubLogin = { token: string } | { appId: string; privateKey: string };

/** The program that the command trainer runs. */
export interface CommandSettings {
  /** Program and arguments, with placeholders such as {drift_score}. */
  command: readonly string[];
  workingDirectory: string;
  /** The variables that the program gets, and no others. */
  environment: Readonly<Record<string, string>>;
  limitMs: number;
}

/** Where the webhook trainer sends its requests. */
export interface WebhookSettings {
  url: string;
  /** Signs requests, and the outcomes that come back. */
  secret: string;
  /** Where the receiver can reach us; null: it is given no callback. */
  publicUrl: string | null;
  /** How the outcome of a training becomes known. `accepted`: not at all, an accepted request counts as done. */
  outcome: "callback" | "status_url" | "accepted";
}

/** The trainer of the settings, with all that it needs. */
export type TrainerSettings =
  | { name: "mock" }
  | { name: "github"; login: GitHubLogin }
  | { name: "webhook"; webhook: WebhookSettings }
  | { name: "command"; command: CommandSettings };

/** Where notifications go; null if not configured. */
export interface NotificationSettings {
  slackUrl: string | null;
  webhookUrl: string | null;
  /** Signs the deliveries to the generic webhook. */
  webhookSecret: string | null;
}

/** How often a training is polled, and when it is given up. */
export interface TrainingPatience {
  /** How long to search for the training of a request whose response was lost, before a person has to decide. */
  searchMs: number;
  pollMs: number;
  /** A training that gives no sign of life for this long counts as lost. */
  lostAfterSeconds: number;
  /** Lifetime of the job's lock while a training is polled, and while one runs here. */
  followLockMs: number;
  runLockMs: number;
}

export type Role = "all" | "worker" | "web";

export interface Config {
  databaseUrl: string;
  redisUrl: string;
  redisPrefix: string;
  role: Role;
  host: string;
  port: number;
  logLevel: string;
  lockTtlMs: number;
  evidenceMaxAgeSeconds: number;
  /** IANA zone of the source tables' timestamps without zone; reports use it too. */
  timeZone: string;
  trainer: TrainerSettings;
  githubWebhookSecret: string | null;
  patience: TrainingPatience;
  notifications: NotificationSettings;
  /** The values that no log, job, report or page may show, by the name of their setting. */
  secrets: ReadonlyMap<string, string>;
  models: ReadonlyMap<string, ModelConfig>;
}

/** The settings of a process that uses Postgres only. */
export type ConfigWithoutRedis = Omit<Config, "redisUrl">;

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * Reads the settings from the environment and, if RETRIGGER_CONFIG names one, the YAML file.
 * @throws ConfigError with every fault at once: empty, out of range, not a number, unknown.
 */
export function parseConfig(env: Environment): Config {
  return parseSettings(env, { needsRedis: true });
}

/** The same, except that REDIS_URL is optional; if given, it must still be valid. */
export function parseConfigWithoutRedis(env: Environment): ConfigWithoutRedis {
  return parseSettings(env, { needsRedis: false });
}

function parseSettings(env: Environment, { needsRedis }: { needsRedis: boolean }): Config {
  const given = Object.fromEntries(
    SETTING_NAMES.flatMap((name) => (env[name] === undefined ? [] : [[name, env[name]]])),
  );
  const empty = Object.keys(given).filter((name) => given[name]?.trim() === "");
  const parsed = Settings.safeParse(given);
  const faults = [
    ...empty.map((name) => `${name} is empty: give it a value, or leave it out`),
    ...findUnknownSettings(env),
    ...(parsed.error?.issues ?? [])
      .filter((issue) => !empty.includes(String(issue.path[0])))
      .map((issue) => describeIssue(issue, given)),
    ...(env["DATABASE_URL"] === undefined && env["NEON_CONNECTION_STRING"] === undefined
      ? [
          "DATABASE_URL is not set: give the Postgres database, such as postgres://user:password@localhost:5432/db",
        ]
      : []),
    ...(needsRedis && env["REDIS_URL"] === undefined
      ? ["REDIS_URL is not set: give the Redis server, such as redis://localhost:6379"]
      : []),
    ...findMissingForTrainer(given),
  ];
  const file = readConfigFile(given["RETRIGGER_CONFIG"], faults);
  if (!parsed.success || faults.length > 0) throw new ConfigError(faults);
  const config = toConfig(parsed.data, file, env);
  const tooMany = [...config.models].flatMap(([model, { github }]) => findFaultyInputs(model, github));
  if (tooMany.length > 0) throw new ConfigError(tooMany);
  const contradictions = findContradictions(parsed.data);
  if (contradictions.length > 0) throw new ConfigError(contradictions);
  return config;
}

function readConfigFile(path: string | undefined, faults: string[]): ConfigFile | null {
  if (path === undefined || path.trim() === "") return null;
  try {
    const parsed = ConfigFile.safeParse(parseYaml(readFileSync(path, "utf8")));
    if (parsed.success) return parsed.data;
    faults.push(
      ...parsed.error.issues.map(
        (issue) => `${path}: ${issue.path.join(".") || "the file"}: ${issue.message}`,
      ),
    );
  } catch (error) {
    faults.push(`RETRIGGER_CONFIG: cannot read ${path}: ${messageOf(error)}`);
  }
  return null;
}

function toConfig(settings: Settings, file: ConfigFile | null, env: Environment): Config {
  const models = Object.entries(file?.models ?? { default: {} }).map(
    ([name, own]) => [name, toModelConfig(settings, name, own)] as const,
  );
  return {
    databaseUrl: settings.DATABASE_URL ?? settings.NEON_CONNECTION_STRING ?? "",
    redisUrl: settings.REDIS_URL ?? "",
    redisPrefix: settings.REDIS_PREFIX,
    role: settings.ROLE,
    host: settings.HOST,
    port: settings.PORT,
    logLevel: settings.LOG_LEVEL,
    lockTtlMs: settings.LOCK_TTL_MS,
    evidenceMaxAgeSeconds: settings.EVIDENCE_MAX_AGE_SECONDS,
    timeZone: settings.SOURCE_TIME_ZONE,
    trainer: toTrainerSettings(settings, env),
    githubWebhookSecret: settings.GITHUB_WEBHOOK_SECRET ?? null,
    patience: {
      searchMs: SEARCH_MS,
      pollMs: settings.TRAINING_POLL_SECONDS * 1000,
      lostAfterSeconds: settings.TRAINING_LOST_AFTER_SECONDS,
      followLockMs: 5_000,
      runLockMs: 30_000,
    },
    notifications: {
      slackUrl: settings.SLACK_WEBHOOK_URL ?? null,
      webhookUrl: settings.NOTIFICATION_URL ?? null,
      webhookSecret: settings.NOTIFICATION_SECRET ?? null,
    },
    secrets: collectSecrets(settings),
    models: new Map(models),
  };
}

/** GitHub's list of runs lags, at times by minutes; no upper bound is documented. */
const SEARCH_MS = 5 * 60_000;

function toTrainerSettings(settings: Settings, env: Environment): TrainerSettings {
  switch (settings.TRAINER) {
    case "mock":
      return { name: "mock" };
    case "github": {
      const {
        GITHUB_TOKEN: token,
        GITHUB_APP_ID: appId = "",
        GITHUB_APP_PRIVATE_KEY: privateKey = "",
      } = settings;
      return { name: "github", login: token === undefined ? { appId, privateKey } : { token } };
    }
    case "webhook": {
      const { TRAINER_URL: url = "", TRAINER_SECRET: secret = "", PUBLIC_URL: publicUrl = null } = settings;
      const outcome = settings.TRAINER_OUTCOME ?? "callback";
      return { name: "webhook", webhook: { url, secret, publicUrl, outcome } };
    }
    case "command":
      return {
        name: "command",
        command: {
          command: settings.TRAINER_COMMAND ?? [],
          workingDirectory: settings.TRAINER_COMMAND_DIRECTORY,
          environment: Object.fromEntries(
            settings.TRAINER_COMMAND_ENVIRONMENT.flatMap((name) =>
              env[name] === undefined ? [] : [[name, env[name]]],
            ),
          ),
          limitMs: settings.TRAINER_COMMAND_LIMIT_SECONDS * 1000,
        },
      };
    default:
      return settings.TRAINER satisfies never;
  }
}

function toModelConfig(settings: Settings, name: string, own: ModelSettings): ModelConfig {
  const schedule = own.schedule ?? settings.SCHEDULE;
  return {
    policy: {
      minBufferSize: own.minBufferSize ?? settings.MIN_BUFFER_SIZE,
      lookbackHours: own.driftLookbackHours ?? settings.DRIFT_LOOKBACK_HOURS,
      minAlertsTriggered: own.minAlertsTriggered ?? settings.MIN_ALERTS_TRIGGERED,
      retriggerGuard: own.retriggerGuard ?? settings.RETRIGGER_GUARD,
      inFlightGuard: own.trainingInFlightGuard ?? settings.TRAINING_IN_FLIGHT_GUARD,
      backoffSeconds: settings.TRAINING_BACKOFF_SECONDS,
    },
    minBufferSizeSetting:
      own.minBufferSize === undefined
        ? "MIN_BUFFER_SIZE"
        : `minBufferSize of ${name} in the file of RETRIGGER_CONFIG`,
    driftAlertsTable: own.driftAlertsTable ?? settings.DRIFT_ALERTS_TABLE,
    ratingsBufferTable: own.ratingsBufferTable ?? settings.RATINGS_BUFFER_TABLE,
    schedule: schedule === "off" ? null : schedule,
    github: {
      apiUrl: settings.GITHUB_API_URL,
      apiVersion: settings.GITHUB_API_VERSION,
      owner: settings.GITHUB_REPO_OWNER,
      repo: settings.GITHUB_REPO_NAME,
      workflow: own.githubWorkflow ?? settings.GITHUB_WORKFLOW,
      ref: settings.GITHUB_REF,
      inputNames: {
        ...(Object.fromEntries(GITHUB_INPUTS.map((name) => [name, name])) as GitHubTarget["inputNames"]),
        ...settings.GITHUB_INPUT_NAMES,
      },
      extraInputs: own.githubExtraInputs ?? settings.GITHUB_EXTRA_INPUTS,
    },
  };
}
