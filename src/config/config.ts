import type { DispatchLimits } from "../core/dispatch/transition.ts";
import { ConfigError } from "../core/errors.ts";
import { POLICY_SETTINGS } from "../core/policy.ts";
import type { ValuesOf } from "../core/setting.ts";
import { inPlainWords } from "../settings/schemas.ts";
import type { ConfiguredTrainer } from "../trainers/trainer.ts";
import { type ConfigFile, readConfigFile } from "./config-file.ts";
import { dropEmptySettings, type Environment, FROM_DOT_ENV } from "./environment.ts";
import { describeFault, findTimingFaults, findTrainerFaults, findUnknownSettings } from "./faults.ts";
import { findRedisFaults, toRedisUrl } from "./redis-settings.ts";
import { environmentLayer, type Layer, toModelConfig } from "./layer.ts";
import type { ModelConfig } from "./model-config.ts";
import { listOverridden } from "./notes.ts";
import { collectSecrets } from "./secrets.ts";
import { SERVICE_SETTINGS } from "./service-settings.ts";
import { ALL_SETTINGS, readValues } from "./settings.ts";
import { createTrainerReader } from "./trainer-section.ts";

export type { ModelConfig } from "./model-config.ts";

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
  | "serviceUrl"
  | "serviceToken"
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
  /** The value of each variable that the program reads: the environment's, else the default. */
  variables: ReadonlyMap<string, unknown>;
  /** What the user should know although nothing is wrong: variables that the YAML file overrides. */
  notes: readonly string[];
}

/** The settings of a process that uses only Postgres. */
export type ConfigWithoutRedis = Omit<Config, "redisUrl">;

/** The settings of a process that uses neither server. */
export type ConfigWithoutServers = Omit<Config, "redisUrl" | "databaseUrl">;

/**
 * Reads the settings from the environment and, if RETRIGGER_CONFIG names one, the YAML file.
 * @throws ConfigError with every fault at once: out of range, not a number, contradictory, unknown.
 */
export function parseConfig(env: Environment): Config {
  return parseSettings(env, ["postgres", "redis"]);
}

/** The same, except that Redis is optional; if given, its settings must still be valid. */
export function parseConfigWithoutRedis(env: Environment): ConfigWithoutRedis {
  return parseSettings(env, ["postgres"]);
}

/** The same, without DATABASE_URL too. */
export function parseConfigWithoutServers(env: Environment): ConfigWithoutServers {
  return parseSettings(env, []);
}

type Server = "postgres" | "redis";

function parseSettings(given: Environment, servers: readonly Server[]): Config {
  const env = dropEmptySettings(given);
  const { values, faults: malformed } = parseEnvironment(env);
  const isGiven = (variable: string): boolean => env[variable] !== undefined;
  const isOnlyInDotEnv = (variable: string): boolean => given[FROM_DOT_ENV]?.has(variable) ?? false;
  const base = environmentLayer(values);
  const readTrainer = createTrainerReader(values);
  const findFaultyTrainers = (layers: Iterable<Layer>) =>
    findTrainerFaults(layers, (trainer) => readTrainer(trainer).trainer.settings, isGiven);
  const variables = { env, named: new Set<string>() };
  const path = env["RETRIGGER_CONFIG"];
  const file: ConfigFile =
    path === undefined
      ? { layers: new Map([["default", base]]), faults: [] }
      : readConfigFile({
          path,
          base,
          variables,
          thresholds: readValues(POLICY_SETTINGS, values),
          findTrainerFaults: (layers) => findFaultyTrainers(layers).filter((fault) => fault.path.length > 0),
        });
  const service = readValues(SERVICE_SETTINGS, values);
  const layers = file.layers.size > 0 ? [...file.layers.values()] : [base];
  const ofEnvironment = layers.filter(({ trainer }) => trainer.place === null);
  const faults = [
    ...findUnknownSettings(withoutNames(env, variables.named), isOnlyInDotEnv),
    ...malformed,
    ...findMissingServers(env, servers),
    // A trainer that is not known is a fault already.
    ...(isGiven("TRAINER") && values["TRAINER"] === undefined
      ? []
      : findFaultyTrainers(ofEnvironment).map(({ message }) => message)),
    ...findTimingFaults(service),
    ...findRedisFaults(service),
  ];
  if (faults.length + file.faults.length > 0)
    throw new ConfigError(faults, { path: path ?? "", faults: file.faults });
  return toConfig(service, {
    trainer: {
      name: service.trainer,
      settings: readTrainer(base.trainer).trainer.settings,
      environment: env,
    },
    variables: new Map(
      ALL_SETTINGS.map(({ variable, schema, default: text }) => [
        variable,
        values[variable] ?? (text === undefined ? undefined : schema.parse(text)),
      ]),
    ),
    secrets: collectSecrets(ALL_SETTINGS, { values, env }, file.layers.values()),
    models: new Map(
      [...file.layers].map(([name, layer]) => [name, toModelConfig(layer, readTrainer(layer.trainer))]),
    ),
    notes: listOverridden(file.layers, {
      file: path ?? "",
      env,
      isForCommand: (variable) => !isOnlyInDotEnv(variable),
    }),
  });
}

/** Leaves out the variables that the file names. */
function withoutNames(env: Record<string, string | undefined>, names: ReadonlySet<string>) {
  return Object.fromEntries(Object.entries(env).filter(([name]) => !names.has(name)));
}

function findMissingServers(env: Environment, servers: readonly Server[]): string[] {
  const hasDatabase = env["DATABASE_URL"] !== undefined || env["NEON_CONNECTION_STRING"] !== undefined;
  return [
    ...(servers.includes("postgres") && !hasDatabase
      ? [
          "DATABASE_URL is not set: set it to the Postgres database, such as postgres://user:password@localhost:5432/db",
        ]
      : []),
    ...(servers.includes("redis") && REDIS_VARIABLES.every((variable) => env[variable] === undefined)
      ? ["REDIS_URL is not set: set it to the Redis server, such as redis://localhost:6379"]
      : []),
  ];
}

/** Any of them says where Redis is. */
const REDIS_VARIABLES = ["REDIS_URL", "REDIS_CLUSTER_NODES", "REDIS_SENTINELS"];

/** Parses the given settings. Returns the values by variable. */
function parseEnvironment(env: Environment): { values: Record<string, unknown>; faults: string[] } {
  const values: Record<string, unknown> = {};
  const faults: string[] = [];
  for (const setting of ALL_SETTINGS) {
    const text = env[setting.variable];
    if (text === undefined) continue;
    const parsed = setting.schema.safeParse(text, { error: inPlainWords });
    if (parsed.success) values[setting.variable] = parsed.data;
    else faults.push(...parsed.error.issues.map((issue) => describeFault(setting, issue, text)));
  }
  return { values, faults };
}

function toConfig(
  service: ServiceValues,
  others: Pick<Config, "trainer" | "variables" | "secrets" | "models" | "notes">,
): Config {
  return {
    ...service,
    ...others,
    databaseUrl: service.databaseUrl ?? service.neonUrl ?? "",
    redisUrl: toRedisUrl(service),
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
