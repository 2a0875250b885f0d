import { createPrivateKey } from "node:crypto";
import { readFileSync } from "node:fs";
import { CronExpressionParser } from "cron-parser";
import { parse as parseYaml } from "yaml";
import { z } from "zod";
import { ModelName } from "../queues/jobs.ts";
import { EVIDENCE_LIMITS } from "./core/evidence.ts";
import type { Policy } from "./core/policy.ts";
import { ConfigError, messageOf } from "./errors.ts";
import { parseJson } from "./parse-json.ts";
import { GITHUB_INPUTS, type GitHubTarget } from "./trainers/github-request.ts";

/** What one model's decisions are made by, from and when. */
export interface ModelConfig {
  policy: Policy;
  /** Table or view, with or without a schema: `drift_alerts`, `monitoring.drift_alerts`. */
  driftAlertsTable: string;
  ratingsBufferTable: string;
  /** Cron pattern in UTC; null where the model has no schedule. */
  schedule: string | null;
  /** The workflow that trains it, with the GitHub trainer. */
  github: GitHubTarget;
}

/** How GitHub is told who asks. */
export type GitHubLogin = { token: string } | { appId: string; privateKey: string };

/** The program that the command trainer runs. */
export interface CommandSettings {
  /** Program and arguments, with placeholders such as {drift_score}. */
  command: readonly string[];
  workingDirectory: string;
  /** Names of the variables of our own environment that the program gets. */
  environment: readonly string[];
  limitMs: number;
}

/** Where the webhook trainer sends its requests. */
export interface WebhookSettings {
  url: string;
  /** Signs requests, and the outcomes that come back. */
  secret: string;
  /** Where the receiver can reach us; null: it is given no callback. */
  publicUrl: string | null;
}

/** The trainer of the settings, with all that it needs. */
export type TrainerSettings =
  | { name: "mock" }
  | { name: "github"; login: GitHubLogin }
  | { name: "webhook"; webhook: WebhookSettings }
  | { name: "command"; command: CommandSettings };

/** Whom to tell what happens; null: nobody. */
export interface NotificationSettings {
  slackUrl: string | null;
  webhookUrl: string | null;
  /** Signs what the generic webhook gets. */
  webhookSecret: string | null;
}

/** When a trainer is asked again how a training stands, and when it is no longer waited for. */
export interface TrainingPatience {
  /** How long a request whose answer was lost is looked for before a person is asked. */
  searchMs: number;
  pollMs: number;
  /** A training of which nothing was heard for so long counts as lost. */
  lostAfterSeconds: number;
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

type Environment = Readonly<Record<string, string | undefined>>;

function wholeNumber(least: number, most = Number.MAX_SAFE_INTEGER) {
  const error = `must be a whole number from ${least} to ${most}`;
  return z
    .union(
      [
        z.number(),
        z
          .string()
          .regex(/^[+-]?\d+$/)
          .transform(Number),
      ],
      { error },
    )
    .refine((value) => Number.isSafeInteger(value) && value >= least && value <= most, { error });
}

function serverUrl(schemes: readonly string[]) {
  const forms = schemes.map((scheme) => `${scheme}://`).join(" or ");
  return z
    .string()
    .refine(
      (text) => isServerUrl(text, schemes),
      `must be a URL that starts with ${forms}, a % in its password written as %25`,
    );
}

const identifier = "[A-Za-z_][A-Za-z0-9_$]*";
const tableName = z
  .string()
  .regex(new RegExp(`^(${identifier}\\.)?${identifier}$`), "must be a table's name, or schema.table");

const cronOrOff = z.string().refine((text) => text === "off" || isCronPattern(text), {
  message: 'must be a cron pattern in UTC such as "0 6 * * *", or off',
});

const timeZone = z.string().refine(isTimeZone, "must be an IANA time zone such as UTC or Europe/Paris");
const onOff = z.union([z.boolean(), z.enum(["on", "off"]).transform((text) => text === "on")], {
  error: "must be on or off",
});
/** A setting that holds JSON, in the form that the schema asks for. */
function json<S extends z.ZodType>(schema: S, form: string) {
  return z.string().transform((text, context): z.infer<S> => {
    const parsed = schema.safeParse(parseJson(text));
    if (parsed.success) return parsed.data;
    context.issues.push({ code: "custom", message: `must be ${form}`, input: text });
    return z.NEVER;
  });
}

const inputName = z.string().regex(/^[A-Za-z_][A-Za-z0-9_-]{0,99}$/);
const ExtraInputs = z.record(inputName, z.string());
const InputNames = z.partialRecord(z.enum(GITHUB_INPUTS), inputName);
const secret = z.string().min(8, "must have 8 characters or more");
const privateKey = z
  .string()
  // One line of an environment file, with \n for its line ends.
  .transform((text) => text.replaceAll("\\n", "\n"))
  .refine(isPrivateKey, "must be the App's private key in PEM, its line ends written as \\n");

const namePart = z
  .string()
  .regex(/^[A-Za-z0-9_.-]+$/, "must be letters, digits, dots, dashes and underscores");

/** Settings that a model in the YAML file may set for itself, under the same meaning as the variable named beside. */
const ModelSettings = z.strictObject({
  minBufferSize: wholeNumber(0).optional(), // MIN_BUFFER_SIZE
  driftLookbackHours: wholeNumber(1, 100_000).optional(), // DRIFT_LOOKBACK_HOURS
  minAlertsTriggered: wholeNumber(1, EVIDENCE_LIMITS.alertIds).optional(), // MIN_ALERTS_TRIGGERED
  retriggerGuard: onOff.optional(), // RETRIGGER_GUARD
  schedule: cronOrOff.optional(), // SCHEDULE
  driftAlertsTable: tableName.optional(), // DRIFT_ALERTS_TABLE
  ratingsBufferTable: tableName.optional(), // RATINGS_BUFFER_TABLE
  trainingInFlightGuard: onOff.optional(), // TRAINING_IN_FLIGHT_GUARD
  githubWorkflow: namePart.optional(), // GITHUB_WORKFLOW
  githubExtraInputs: ExtraInputs.optional(), // GITHUB_EXTRA_INPUTS
});

const ConfigFile = z.strictObject({
  models: z
    .record(
      ModelName,
      z.preprocess((value) => value ?? {}, ModelSettings),
    )
    .refine((models) => Object.keys(models).length > 0, "must name at least one model"),
});

const required = (what: string, example: string) =>
  ({
    error: (issue: { input?: unknown }) =>
      issue.input === undefined ? `is not set: give ${what}, such as ${example}` : undefined,
  }) as const;

const Settings = z.object({
  DATABASE_URL: serverUrl(["postgres", "postgresql"]).optional(),
  NEON_CONNECTION_STRING: serverUrl(["postgres", "postgresql"]).optional(),
  REDIS_URL: z
    .string(required("the Redis server", "redis://localhost:6379"))
    .pipe(serverUrl(["redis", "rediss"])),
  REDIS_PREFIX: z
    .string()
    .regex(
      /^\{[A-Za-z0-9_.-]+\}$/,
      "must be a name in braces, which keeps all keys in one Redis Cluster slot",
    )
    .default("{retrigger}"),
  MIN_BUFFER_SIZE: wholeNumber(0).default(50_000),
  DRIFT_LOOKBACK_HOURS: wholeNumber(1, 100_000).default(168),
  MIN_ALERTS_TRIGGERED: wholeNumber(1, EVIDENCE_LIMITS.alertIds).default(1),
  RETRIGGER_GUARD: onOff.default(true),
  SCHEDULE: cronOrOff.default("0 6 * * *"),
  DRIFT_ALERTS_TABLE: tableName.default("drift_alerts"),
  RATINGS_BUFFER_TABLE: tableName.default("ratings_buffer"),
  SOURCE_TIME_ZONE: timeZone.default("UTC"),
  LOCK_TTL_MS: wholeNumber(1_000, 3_600_000).default(30_000),
  // A gather may take almost two minutes; with a lower limit, a slow one would be gathered anew for ever.
  EVIDENCE_MAX_AGE_SECONDS: wholeNumber(120, 604_800).default(900),
  TRAINER: z.enum(["mock", "github", "webhook", "command"]).default("mock"),
  GITHUB_TOKEN: z.string().regex(/^\S+$/, "must be a token, without blanks").optional(),
  GITHUB_APP_ID: z
    .string()
    .regex(/^[A-Za-z0-9.]+$/, "must be the App's id or client id")
    .optional(),
  GITHUB_APP_PRIVATE_KEY: privateKey.optional(),
  GITHUB_REPO_OWNER: namePart.default("YOUR_USER"),
  GITHUB_REPO_NAME: namePart.default("cinematch"),
  GITHUB_WORKFLOW: namePart.default("model_training.yml"),
  GITHUB_REF: z
    .string()
    .regex(/^[^\s\p{Cc}]+$/u, "must be a branch or tag")
    .default("main"),
  GITHUB_API_URL: serverUrl(["http", "https"])
    .transform((url) => url.replace(/\/+$/, ""))
    .default("https://api.github.com"),
  GITHUB_API_VERSION: z
    .string()
    .regex(/^\d{4}-\d{2}-\d{2}$/, "must be a date such as 2026-03-10, or 2022-11-28 for an older GHES")
    .default("2026-03-10"),
  GITHUB_INPUT_NAMES: json(InputNames, `a JSON object from ${GITHUB_INPUTS.join(", ")} to names`).default({}),
  GITHUB_EXTRA_INPUTS: json(ExtraInputs, "a JSON object of texts").default({}),
  GITHUB_WEBHOOK_SECRET: secret.optional(),
  TRAINER_URL: serverUrl(["http", "https"]).optional(),
  TRAINER_SECRET: secret.optional(),
  PUBLIC_URL: serverUrl(["http", "https"])
    .transform((url) => url.replace(/\/+$/, ""))
    .optional(),
  TRAINER_COMMAND: json(
    z.array(z.string().regex(/^[^\0]*$/)).min(1),
    'a JSON array of texts such as ["python","train.py","--drift-score","{drift_score}"]',
  ).optional(),
  TRAINER_COMMAND_DIRECTORY: z.string().default("."),
  TRAINER_COMMAND_ENVIRONMENT: z
    .string()
    .regex(/^\w+(\s*,\s*\w+)*$/, "must be names of variables, comma-separated")
    .transform((text) => text.split(/\s*,\s*/))
    .default(["PATH", "HOME", "LANG"]),
  TRAINER_COMMAND_LIMIT_SECONDS: wholeNumber(1, 20 * 86_400).default(86_400),
  TRAINING_IN_FLIGHT_GUARD: onOff.default(true),
  TRAINING_POLL_SECONDS: wholeNumber(1, 3_600).default(20),
  TRAINING_LOST_AFTER_SECONDS: wholeNumber(60, 30 * 86_400).default(86_400),
  TRAINING_BACKOFF_SECONDS: wholeNumber(1, 7 * 86_400).default(3_600),
  SLACK_WEBHOOK_URL: serverUrl(["http", "https"]).optional(),
  NOTIFICATION_URL: serverUrl(["http", "https"]).optional(),
  NOTIFICATION_SECRET: secret.optional(),
  HOST: z.string().regex(/^\S+$/, "must be a host name or address").default("127.0.0.1"),
  PORT: wholeNumber(0, 65_535).default(3000),
  LOG_LEVEL: z.enum(["trace", "debug", "info", "warn", "error", "fatal", "silent"]).default("info"),
  ROLE: z.enum(["all", "worker", "web"]).default("all"),
  RETRIGGER_CONFIG: z.string().optional(),
});
type Settings = z.infer<typeof Settings>;

/** Every variable that Retrigger reads. */
export const SETTING_NAMES: readonly string[] = Object.keys(Settings.shape);

/**
 * Reads the settings from the environment and, where RETRIGGER_CONFIG names one, the YAML file.
 * @throws ConfigError with every fault at once: empty, out of range, not a number, unknown.
 */
export function parseConfig(env: Environment): Config {
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
    ...findMissingForTrainer(given),
  ];
  const file = readConfigFile(given["RETRIGGER_CONFIG"], faults);
  if (!parsed.success || faults.length > 0) throw new ConfigError(faults);
  const config = toConfig(parsed.data, file);
  const tooMany = [...config.models].flatMap(([model, { github }]) => findFaultyInputs(model, github));
  if (tooMany.length > 0) throw new ConfigError(tooMany);
  return config;
}

/** What the trainer of the settings cannot do without. */
function findMissingForTrainer(given: Record<string, string | undefined>): string[] {
  const lacks = (name: string, what: string): string[] =>
    given[name] === undefined ? [`${name} is not set: TRAINER=${given["TRAINER"]} needs ${what}`] : [];
  switch (given["TRAINER"]) {
    case "github":
      return [
        ...(given["GITHUB_APP_ID"] === undefined && given["GITHUB_APP_PRIVATE_KEY"] === undefined
          ? lacks("GITHUB_TOKEN", "a token (or GITHUB_APP_ID and GITHUB_APP_PRIVATE_KEY)")
          : [
              ...lacks("GITHUB_APP_ID", "the App's id beside its key"),
              ...lacks("GITHUB_APP_PRIVATE_KEY", "the App's key beside its id"),
            ]),
        ...lacks("GITHUB_REPO_OWNER", "the owner of the repository"),
        ...lacks("GITHUB_REPO_NAME", "the name of the repository"),
      ];
    case "webhook":
      return [
        ...lacks("TRAINER_URL", "the URL that takes the request"),
        ...lacks("TRAINER_SECRET", "the secret that signs it"),
      ];
    case "command":
      return lacks("TRAINER_COMMAND", 'the program to run, such as ["python","train.py"]');
    default:
      return [];
  }
}

/** GitHub's own limits: github.com takes 25 inputs, 65,535 characters in all. */
function findFaultyInputs(model: string, { inputNames, extraInputs }: GitHubTarget): string[] {
  const names = [...Object.values(inputNames), ...Object.keys(extraInputs)];
  const twice = names.find((name, index) => names.indexOf(name) !== index);
  return [
    ...(twice
      ? [`GITHUB_INPUT_NAMES and GITHUB_EXTRA_INPUTS of ${model} name the input "${twice}" twice`]
      : []),
    ...(names.length > 25
      ? [`GITHUB_EXTRA_INPUTS of ${model} makes ${names.length} inputs, GitHub takes 25`]
      : []),
    ...(JSON.stringify(extraInputs).length > 60_000
      ? [`GITHUB_EXTRA_INPUTS of ${model} is too long: GitHub takes 65,535 characters in all`]
      : []),
  ];
}

function describeIssue(issue: z.core.$ZodIssue, given: Record<string, string | undefined>): string {
  const name = String(issue.path[0]);
  if (issue.message.startsWith("is not set")) return `${name} ${issue.message}`;
  // A connection string holds a password: its value is not repeated, nor that of a secret.
  const value = /URL|CONNECTION|TOKEN|SECRET|KEY|COMMAND$/.test(name) ? "" : ` is "${given[name]}":`;
  const message =
    issue.code === "invalid_value" ? `must be one of ${issue.values.join(", ")}` : issue.message;
  return `${name}${value} ${issue.message.startsWith("must") ? issue.message : message}`;
}

function readConfigFile(path: string | undefined, faults: string[]): z.infer<typeof ConfigFile> | null {
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

/** A variable that is one slip of the pen away from a setting that is not set, or that bears our own prefix. */
function findUnknownSettings(env: Environment): string[] {
  return Object.keys(env)
    .filter((name) => !SETTING_NAMES.includes(name))
    .flatMap((name) => {
      const meant = SETTING_NAMES.find(
        (known) => known.length >= 8 && env[known] === undefined && isOneSlipApart(name, known),
      );
      if (meant) return [`${name} is not a setting: did you mean ${meant}?`];
      // Kubernetes gives each pod such variables of a service named retrigger.
      const isFromKubernetes = /^RETRIGGER_(SERVICE|PORT)(_|$)/.test(name);
      return name.startsWith("RETRIGGER_") && !isFromKubernetes
        ? [`${name} is not a setting: see the settings table in README.md`]
        : [];
    });
}

/** Whether one letter was added, left out, changed, or swapped with its neighbour. */
function isOneSlipApart(a: string, b: string): boolean {
  if (Math.abs(a.length - b.length) > 1) return false;
  let start = 0;
  while (start < a.length && a[start] === b[start]) start += 1;
  let end = 0;
  while (end < Math.min(a.length, b.length) - start && a.at(-1 - end) === b.at(-1 - end)) end += 1;
  const restA = a.slice(start, a.length - end);
  const restB = b.slice(start, b.length - end);
  return (
    Math.max(restA.length, restB.length) <= 1 ||
    (restA.length === 2 && restA === restB.charAt(1) + restB.charAt(0))
  );
}

function toConfig(settings: Settings, file: z.infer<typeof ConfigFile> | null): Config {
  const models = Object.entries(file?.models ?? { default: {} }).map(
    ([name, own]) => [name, toModelConfig(settings, own)] as const,
  );
  return {
    databaseUrl: settings.DATABASE_URL ?? settings.NEON_CONNECTION_STRING ?? "",
    redisUrl: settings.REDIS_URL,
    redisPrefix: settings.REDIS_PREFIX,
    role: settings.ROLE,
    host: settings.HOST,
    port: settings.PORT,
    logLevel: settings.LOG_LEVEL,
    lockTtlMs: settings.LOCK_TTL_MS,
    evidenceMaxAgeSeconds: settings.EVIDENCE_MAX_AGE_SECONDS,
    timeZone: settings.SOURCE_TIME_ZONE,
    trainer: toTrainerSettings(settings),
    githubWebhookSecret: settings.GITHUB_WEBHOOK_SECRET ?? null,
    patience: {
      searchMs: SEARCH_MS,
      pollMs: settings.TRAINING_POLL_SECONDS * 1000,
      lostAfterSeconds: settings.TRAINING_LOST_AFTER_SECONDS,
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

/** GitHub's list of runs lags, at times by minutes, and nobody says by how many at the most. */
const SEARCH_MS = 5 * 60_000;

function toTrainerSettings(settings: Settings): TrainerSettings {
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
      return { name: "webhook", webhook: { url, secret, publicUrl } };
    }
    case "command":
      return {
        name: "command",
        command: {
          command: settings.TRAINER_COMMAND ?? [],
          workingDirectory: settings.TRAINER_COMMAND_DIRECTORY,
          environment: settings.TRAINER_COMMAND_ENVIRONMENT,
          limitMs: settings.TRAINER_COMMAND_LIMIT_SECONDS * 1000,
        },
      };
    default:
      return settings.TRAINER satisfies never;
  }
}

const SECRET_SETTINGS = [
  "GITHUB_TOKEN",
  "GITHUB_APP_PRIVATE_KEY",
  "GITHUB_WEBHOOK_SECRET",
  "TRAINER_SECRET",
  "NOTIFICATION_SECRET",
  // The paths of incoming webhooks are secrets too.
  "SLACK_WEBHOOK_URL",
  "NOTIFICATION_URL",
] as const;

function collectSecrets(settings: Settings): Map<string, string> {
  const passwords = (["DATABASE_URL", "NEON_CONNECTION_STRING", "REDIS_URL", "TRAINER_URL"] as const).flatMap(
    (name) => {
      const { username = "", password = "" } = settings[name] === undefined ? {} : new URL(settings[name]);
      // One that is the user's name, as on many a development machine, would cut that name out of every text.
      return password === "" || password === username
        ? []
        : [[`password of ${name}`, decodeURIComponent(password)] as const];
    },
  );
  const named = SECRET_SETTINGS.flatMap((name) =>
    settings[name] === undefined ? [] : [[name, settings[name]] as const],
  );
  return new Map([...named, ...passwords]);
}

function toModelConfig(settings: Settings, own: z.infer<typeof ModelSettings>): ModelConfig {
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

function isPrivateKey(text: string): boolean {
  try {
    createPrivateKey(text);
    return true;
  } catch {
    return false;
  }
}

function isServerUrl(text: string, schemes: readonly string[]): boolean {
  try {
    const { protocol, username, password } = new URL(text);
    decodeURIComponent(username + password);
    return schemes.includes(protocol.slice(0, -1));
  } catch {
    return false;
  }
}

/** Five or six fields. The parser knows more: patterns with fields left out, and times that a hash chooses. */
function isCronPattern(text: string): boolean {
  if (!/^\S+(\s+\S+){4,5}$/.test(text) || /\bH\b/.test(text)) return false;
  try {
    CronExpressionParser.parse(text, { tz: "UTC" });
    return true;
  } catch {
    return false;
  }
}

function isTimeZone(text: string): boolean {
  try {
    return new Intl.DateTimeFormat("en", { timeZone: text }).resolvedOptions().timeZone !== "";
  } catch {
    return false;
  }
}
