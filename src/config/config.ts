import { readFileSync } from "node:fs";
import { parse as parseYaml } from "yaml";
import type { DispatchLimits } from "../core/dispatch/transition.ts";
import { ConfigError, messageOf } from "../core/errors.ts";
import { type Policy, policyOf, POLICY_SETTINGS, VARIABLE_OF } from "../core/policy.ts";
import type { Settings, ValuesOf } from "../core/setting.ts";
import { GUIDE_TABLES, type Sources } from "../settings/sources.ts";
import { TRAINERS } from "../trainers/registry.ts";
import type { ConfiguredTrainer, ModelTrainer } from "../trainers/trainer.ts";
import { describeFault, findContradictions, findTrainerFaults, findUnknownSettings } from "./faults.ts";
import { collectSecrets, collectTrainerSecrets } from "./secrets.ts";
import { SERVICE_SETTINGS } from "./service-settings.ts";
import { ALL_SETTINGS, ConfigFile, type ModelValues, readValues, SETTING_NAMES } from "./settings.ts";

/** One model's policy, sources and schedule. */
export interface ModelConfig {
  policy: Policy;
  /** How the user named each check of the policy, by its key: its variable, or its place in the YAML file. */
  settingNames: Readonly<Record<string, string>>;
  source: Sources;
  /** Cron pattern in UTC; null if the model has no schedule. */
  schedule: string | null;
  /** The schedule fires up to this much later, by a stable share of it, in milliseconds. */
  spreadMs: number;
  /** How often a drift run is expected, in milliseconds; null if none is. */
  expectDriftRunEveryMs: number | null;
  trainer: ModelTrainer;
}

/** Where notifications go; null if not configured. */
export interface NotificationSettings {
  slackUrl: string | null;
  webhookUrl: string | null;
  /** Signs the deliveries to the generic webhook. */
  webhookSecret: string | null;
}

export interface TrainingTiming extends DispatchLimits {
  /** Lifetime of the job's lock while a training is polled, and while one runs in this process. */
  followLockMs: number;
  runLockMs: number;
}

type ServiceValues = ValuesOf<typeof SERVICE_SETTINGS>;

type CombinedSetting =
  | "databaseUrl"
  | "neonUrl"
  | "redisUrl"
  | "trainer"
  | "pollSeconds"
  | "lostAfterSeconds"
  | "slackUrl"
  | "notificationUrl"
  | "notificationSecret"
  | "schedule"
  | "driftAlertsTable"
  | "ratingsBufferTable"
  | "configFile";

/** The settings of the service under their own names, and what others are combined to. */
export interface Config extends Omit<ServiceValues, CombinedSetting> {
  databaseUrl: string;
  redisUrl: string;
  /** The environment's; each model has its own, which may be another one. */
  trainer: ConfiguredTrainer;
  timing: TrainingTiming;
  notifications: NotificationSettings;
  /** The values that no log, job, report or page may show, by a description of each. */
  secrets: ReadonlyMap<string, string>;
  models: ReadonlyMap<string, ModelConfig>;
}

/** The settings of a process that uses only Postgres. */
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
  const { values, faults: malformed } = parseEnvironment(given);
  const faults = [
    ...findUnknownSettings(env),
    ...malformed,
    ...(env["DATABASE_URL"] === undefined && env["NEON_CONNECTION_STRING"] === undefined
      ? [
          "DATABASE_URL is not set: set it to the Postgres database, such as postgres://user:password@localhost:5432/db",
        ]
      : []),
    ...(needsRedis && env["REDIS_URL"] === undefined
      ? ["REDIS_URL is not set: set it to the Redis server, such as redis://localhost:6379"]
      : []),
    ...findTrainerFaults(given),
  ];
  const file = readConfigFile(given["RETRIGGER_CONFIG"], faults);
  stopIfAny(faults);
  const service = readValues(SERVICE_SETTINGS, values);
  const models = Object.entries(file?.models ?? { default: {} });
  const definition = TRAINERS.find(({ name }) => name === service.trainer);
  const trainerSettings: Settings = definition?.settings ?? {};
  const configs = models.map(([name, own]) => {
    const trainer = { name: service.trainer, settings: readValues(trainerSettings, values, own) };
    return [name, toModelConfig(values, own, trainer)] as const;
  });
  stopIfAny(
    configs.flatMap(([name, { trainer }]) => definition?.findModelFaults?.(name, trainer.settings) ?? []),
  );
  stopIfAny(findContradictions(service));
  const secrets = collectSecrets(ALL_SETTINGS, values);
  const modelConfigs = new Map(configs);
  return toConfig(service, {
    trainer: {
      name: service.trainer,
      settings: readValues(trainerSettings, values),
      environment: env,
    },
    secrets: new Map([...secrets, ...collectTrainerSecrets(modelConfigs, secrets)]),
    models: modelConfigs,
  });
}

function stopIfAny(faults: readonly string[]): void {
  if (faults.length > 0) throw new ConfigError(faults);
}

/** Parses the given settings. Returns the values by variable. */
function parseEnvironment(given: Environment): { values: Record<string, unknown>; faults: string[] } {
  const values: Record<string, unknown> = {};
  const faults: string[] = [];
  for (const setting of ALL_SETTINGS) {
    const text = given[setting.variable];
    if (text === undefined) continue;
    if (text.trim() === "") {
      faults.push(`${setting.variable} is empty: give it a value, or remove it`);
      continue;
    }
    const parsed = setting.schema.safeParse(text);
    if (parsed.success) values[setting.variable] = parsed.data;
    else faults.push(...parsed.error.issues.map((issue) => describeFault(setting, issue, text)));
  }
  return { values, faults };
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

function toConfig(service: ServiceValues, others: Pick<Config, "trainer" | "secrets" | "models">): Config {
  return {
    ...service,
    ...others,
    databaseUrl: service.databaseUrl ?? service.neonUrl ?? "",
    redisUrl: service.redisUrl ?? "",
    timing: {
      searchMs: SEARCH_MS,
      pollMs: service.pollSeconds * 1000,
      lostAfterMs: service.lostAfterSeconds * 1000,
      followLockMs: 5_000,
      runLockMs: 30_000,
    },
    notifications: {
      slackUrl: service.slackUrl ?? null,
      webhookUrl: service.notificationUrl ?? null,
      webhookSecret: service.notificationSecret ?? null,
    },
  };
}

/** GitHub's list of runs lags, sometimes by minutes; no upper bound is documented. */
const SEARCH_MS = 5 * 60_000;

function toModelConfig(
  values: Record<string, unknown>,
  own: ModelValues,
  trainer: ModelTrainer,
): ModelConfig {
  const { driftAlertsTable, ratingsBufferTable, schedule } = readValues(SERVICE_SETTINGS, values, own);
  return {
    policy: policyOf(readValues(POLICY_SETTINGS, values, own)),
    settingNames: VARIABLE_OF,
    source: {
      checks: { kind: "table", table: driftAlertsTable, columns: {}, where: {} },
      buffer: {
        kind: "table",
        table: ratingsBufferTable,
        columns: {},
        where: {},
        unit: ratingsBufferTable === GUIDE_TABLES.buffer ? "ratings" : "rows",
        since: null,
      },
      database: null,
    },
    schedule: schedule === "off" ? null : schedule,
    spreadMs: 0,
    expectDriftRunEveryMs: null,
    trainer,
  };
}
