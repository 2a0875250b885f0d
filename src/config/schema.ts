import { z } from "zod";
import { ModelName } from "../../queues/jobs.ts";
import { EVIDENCE_LIMITS } from "../core/evidence.ts";
import { GITHUB_INPUTS } from "../trainers/github/request.ts";
import {
  cronOrOff,
  ExtraInputs,
  InputNames,
  json,
  namePart,
  onOff,
  openUrl,
  privateKey,
  secret,
  serverUrl,
  tableName,
  timeZone,
  wholeNumber,
} from "../settings/forms.ts";

/** Settings that a model in the YAML file may set for itself, with the same meaning as the variable named beside it. */
export const ModelSettings = z.strictObject({
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

export type ModelSettings = z.infer<typeof ModelSettings>;

export const ConfigFile = z.strictObject({
  models: z
    .record(
      ModelName,
      z.preprocess((value) => value ?? {}, ModelSettings),
    )
    .refine((models) => Object.keys(models).length > 0, "must name at least one model"),
});

export type ConfigFile = z.infer<typeof ConfigFile>;

/** The settings of the environment, by the names of their variables. */
export const Settings = z.object({
  DATABASE_URL: serverUrl(["postgres", "postgresql"]).optional(),
  NEON_CONNECTION_STRING: serverUrl(["postgres", "postgresql"]).optional(),
  REDIS_URL: serverUrl(["redis", "rediss"]).optional(),
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
  // A gather may take almost two minutes; with a lower limit, a slow model would be gathered over and over.
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
  GITHUB_API_URL: openUrl.default("https://api.github.com"),
  GITHUB_API_VERSION: z
    .string()
    .regex(/^\d{4}-\d{2}-\d{2}$/, "must be a date such as 2026-03-10, or 2022-11-28 for an older GHES")
    .default("2026-03-10"),
  GITHUB_INPUT_NAMES: json(InputNames, `a JSON object from ${GITHUB_INPUTS.join(", ")} to names`).default({}),
  GITHUB_EXTRA_INPUTS: json(ExtraInputs, "a JSON object of texts").default({}),
  GITHUB_WEBHOOK_SECRET: secret.optional(),
  TRAINER_URL: serverUrl(["http", "https"]).optional(),
  TRAINER_SECRET: secret.optional(),
  TRAINER_OUTCOME: z.enum(["callback", "status_url", "accepted"]).optional(),
  PUBLIC_URL: openUrl.optional(),
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
export type Settings = z.infer<typeof Settings>;

/** Every variable that Retrigger reads. */
export const SETTING_NAMES: readonly string[] = Object.keys(Settings.shape);
