import { randomUUID } from "node:crypto";
import type { RedisConnection } from "../../redis/target.ts";
import type { Config } from "../../config/config.ts";
import { concernsModels, fingerprintSettings } from "../../config/settings-fingerprint.ts";
import { about, type Finding, ok, warning } from "../../core/finding.ts";
import { formatCount, formatInstant } from "../../core/format.ts";
import type { Database } from "../../postgres/database.ts";
import {
  type Description,
  requestDescriptions,
  type SettingsFingerprint,
} from "../../redis/service-channel.ts";

/** A service replies within milliseconds, unless it is busy or stuck. */
const REPLY_LIMIT_MS = 3_000;

/** Compares the settings of the running services with those given here. */
export async function diagnoseServices(
  config: Config,
  redis: RedisConnection,
  database: Pick<Database, "identify">,
): Promise<Finding[]> {
  const id = randomUUID();
  const [{ services, replies }, identity] = await Promise.all([
    requestDescriptions(redis, config.redisPrefix, { id, limitMs: REPLY_LIMIT_MS }),
    database.identify().catch(() => null),
  ]);
  if (services === 0) return [];
  const own = await fingerprintSettings(config, id, identity);
  return describeServices(own, replies, services);
}

/** @param services How many services run, of which some may not have replied. */
function describeServices(
  own: SettingsFingerprint,
  replies: readonly Description[],
  services: number,
): Finding[] {
  const differing = replies.flatMap((reply) => describeDifference(own, reply));
  const same = replies.length - differing.length;
  const silent = services - replies.length;
  return [
    ...(same > 0
      ? [ok(`${formatCount(same)} ${same === 1 ? "service runs" : "services run"} with these settings`)]
      : []),
    ...differing,
    ...(silent > 0
      ? [
          warning(
            `${formatCount(silent)} of ${formatCount(services)} services did not say which settings they run with`,
            "They are busy or stuck. Run doctor again; if that does not help, restart them",
          ),
        ]
      : []),
    ...describeUnserved(own, replies, silent),
  ];
}

function describeDifference(
  own: SettingsFingerprint,
  { service, since, fingerprint }: Description,
): Finding[] {
  const models = Object.keys(own.models).filter(
    (model) => fingerprint.models[model] !== undefined && fingerprint.models[model] !== own.models[model],
  );
  const names = [
    ...(own.database !== null && fingerprint.database !== null && own.database !== fingerprint.database
      ? ["DATABASE_URL (another database)"]
      : []),
    ...listDiffering(own.variables, fingerprint.variables).filter(
      (variable) => models.length > 0 || !concernsModels(variable),
    ),
    ...new Set(listDiffering(own.secrets, fingerprint.secrets).map(variableOf)),
  ];
  if (names.length + models.length === 0) return [];
  const what = [...names, ...(models.length === 0 ? [] : [describeModels(models)])].join(", ");
  return [
    warning(
      `${service} has run with other settings since ${formatInstant(since)}: ${what}`,
      names.length === 0 ? "npx retrigger config reload" : "Restart it with the intended settings",
    ),
  ];
}

/** Models of these settings that no service takes jobs for. */
function describeUnserved(
  own: SettingsFingerprint,
  replies: readonly Description[],
  silent: number,
): Finding[] {
  const workers = replies.filter(({ hasWorkers }) => hasWorkers);
  if (workers.length === 0 || silent > 0) return [];
  const text = "no running service has this model";
  return Object.keys(own.models)
    .filter((model) => workers.every(({ fingerprint }) => fingerprint.models[model] === undefined))
    .map((model) => about(model, warning(text, "npx retrigger config reload, or restart the service")));
}

function listDiffering(a: Readonly<Record<string, string>>, b: Readonly<Record<string, string>>): string[] {
  return [...new Set([...Object.keys(a), ...Object.keys(b)])]
    .filter((name) => a[name] !== b[name])
    .toSorted();
}

/** The variable of a secret: it may be a part of it, as in "password of DATABASE_URL". */
function variableOf(secret: string): string {
  return secret.split(" ").at(-1) ?? secret;
}

const MOST_NAMES = 5;

function describeModels(models: readonly string[]): string {
  const [first = "", ...others] = models;
  if (others.length === 0) return `model ${first}`;
  const rest = models.length - MOST_NAMES;
  return `models ${models.slice(0, MOST_NAMES).join(" ")}${rest > 0 ? ` and ${formatCount(rest)} more` : ""}`;
}
