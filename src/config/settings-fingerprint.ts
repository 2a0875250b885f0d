import { createHmac, scrypt } from "node:crypto";
import { promisify } from "node:util";
import { createRedactor } from "../process/redact.ts";
import type { SettingsFingerprint } from "../redis/service-channel.ts";
import type { Config } from "./config.ts";
import { toConfigFile } from "./effective-config.ts";
import type { ModelConfig } from "./model-config.ts";
import { SERVICE_SETTINGS } from "./service-settings.ts";
import { ALL_SETTINGS } from "./settings.ts";

type Compared = Pick<Config, "variables" | "secrets" | "models">;

/**
 * Hashes settings so that two processes can compare them without showing them. Secrets are hashed slowly, by scrypt: whoever reads
 * the hashes gains no quick way to try out passwords.
 *
 * @param salt Random, and the same for all that are compared.
 * @param database Which database it is; null if that is not known.
 */
export async function fingerprintSettings(
  { variables, secrets, models }: Compared,
  salt: string,
  database: string | null,
): Promise<SettingsFingerprint> {
  const hash = (text: string): string =>
    createHmac("sha256", salt).update(text).digest("base64url").slice(0, 16);
  const redact = createRedactor(secrets);
  const compared = [...variables].filter(([name]) => COMPARED.has(name));
  const hashed: Record<string, string> = {};
  for (const [name, value] of secrets)
    if (name !== SERVICE_SETTINGS.serviceToken.variable) hashed[name] = await hashSecret(value, salt);
  return {
    // Some have a login in them.
    variables: {
      ...Object.fromEntries(
        compared.map(([name, value]) => [name, hash(redact(JSON.stringify(value) ?? ""))]),
      ),
      // The same file may have another path elsewhere, but one process with a file and one without are not the same.
      ...(variables.has(CONFIG_FILE) && { [CONFIG_FILE]: hash("is set") }),
    },
    secrets: hashed,
    models: Object.fromEntries([...models].map(([name, model]) => [name, hash(redact(toText(name, model)))])),
    database: database === null ? null : hash(database),
  };
}

const toText = (name: string, model: ModelConfig): string =>
  JSON.stringify(toConfigFile(new Map([[name, model]])));

const derive = promisify<string, string, number, { N: number }, Buffer>(scrypt);

/** About three milliseconds, so that a service with hundreds of secrets still replies in time. */
async function hashSecret(value: string, salt: string): Promise<string> {
  return (await derive(value, salt, 16, { N: 1_024 })).toString("base64url");
}

const variablesOf = (...keys: (keyof typeof SERVICE_SETTINGS)[]): string[] =>
  keys.map((key) => SERVICE_SETTINGS[key].variable);

const CONFIG_FILE = SERVICE_SETTINGS.configFile.variable;

/** The servers are known by what they are, not by their address, which may be another one inside of a container. */
const SERVERS = variablesOf("databaseUrl", "neonUrl", "redisUrl", "redisPrefix");
/** What each process may have its own of. */
const OF_PROCESS = variablesOf(
  "role",
  "host",
  "port",
  "logLevel",
  "serviceUrl",
  "serviceToken",
  "configFile",
  "metricsPort",
);
const IGNORED = new Set([...SERVERS, ...OF_PROCESS]);

/** Secrets are hashed by themselves. */
const COMPARED: ReadonlySet<string> = new Set(
  ALL_SETTINGS.filter(({ variable, secret }) => secret !== "value" && !IGNORED.has(variable)).map(
    ({ variable }) => variable,
  ),
);

const SERVICE_VARIABLES: ReadonlySet<string> = new Set(
  Object.values(SERVICE_SETTINGS).map(({ variable }) => variable),
);
const OF_MODELS: ReadonlySet<string> = new Set(
  variablesOf("schedule", "driftAlertsTable", "ratingsBufferTable", "trainer"),
);

/** Whether a variable says something about models only, whose own settings tell whether it matters. */
export function concernsModels(variable: string): boolean {
  return OF_MODELS.has(variable) || !SERVICE_VARIABLES.has(variable);
}
