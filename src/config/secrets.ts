import type { Setting, Settings } from "../core/setting.ts";
import { decodeLeniently } from "../process/encodings.ts";
import { TRAINERS } from "../trainers/registry.ts";
import type { Environment } from "./environment.ts";
import type { Layer } from "./layer.ts";

/**
 * The values that must never be shown, by a description of each: those of the environment, those of the variables that the YAML
 * file names, and those that settings pass on to a program.
 *
 * @param values The parsed settings of the environment, by variable.
 */
export function collectSecrets(
  settings: readonly Setting[],
  { values, env }: { values: Readonly<Record<string, unknown>>; env: Environment },
  layers: Iterable<Layer>,
): Map<string, string> {
  const secrets = new Map<string, string>();
  for (const setting of settings)
    collectOfSetting(setting, setting.variable, values[setting.variable], secrets);
  const passed = new Set(
    settings.flatMap(({ variable, namesVariables }) => (namesVariables ? namesOf(values[variable]) : [])),
  );
  for (const layer of layers) {
    collectOfLayer(layer, secrets);
    for (const name of listPassed(layer)) passed.add(name);
  }
  for (const name of passed) collectPassed(name, env[name], secrets);
  return secrets;
}

function collectOfSetting(
  { secret }: Setting,
  variable: string,
  value: unknown,
  secrets: Map<string, string>,
): void {
  if (typeof value !== "string") return;
  if (secret === "value") secrets.set(variable, value);
  // A secret that is a URL may also appear in parts.
  if (secret === "login" || (secret === "value" && isWebUrl(value)))
    collectOfUrl(variable, new URL(value), secrets);
}

function collectOfLayer({ database, trainer }: Layer, secrets: Map<string, string>): void {
  if (database !== null) collectOfUrl(database.variable, new URL(database.url), secrets);
  const settings = settingsOf(trainer.name);
  for (const [key, variable] of Object.entries(trainer.variables)) {
    const setting = settings[key];
    if (setting !== undefined) collectOfSetting(setting, variable, String(trainer.own[key]), secrets);
  }
}

function settingsOf(trainer: string): Settings {
  return TRAINERS.find(({ name }) => name === trainer)?.settings ?? {};
}

/** The variables that the trainer of a layer passes to its program. */
function listPassed({ trainer }: Layer): string[] {
  return Object.entries(settingsOf(trainer.name)).flatMap(([key, { namesVariables }]) =>
    namesVariables ? namesOf(trainer.own[key]) : [],
  );
}

function namesOf(value: unknown): string[] {
  return Array.isArray(value) ? value.map(String) : [];
}

/** Variables of every process. Their values are no secrets, and occur in ordinary text. */
const ORDINARY = new Set([
  "PATH",
  "HOME",
  "LANG",
  "LANGUAGE",
  "TZ",
  "USER",
  "LOGNAME",
  "SHELL",
  "PWD",
  "TERM",
  "TMPDIR",
]);

const SECRET_NAME = /key|token|secret|pass|pwd|auth|cred|sig|dsn|cert|private/i;

/** Collects the value of a variable that a program gets, if its name or its length suggests a secret. */
function collectPassed(name: string, value: string | undefined, secrets: Map<string, string>): void {
  if (value === undefined || ORDINARY.has(name)) return;
  const isPath = /^[/~.]/.test(value);
  if (URL.canParse(value) && /^[\w+.-]+:\/\//.test(value)) collectOfUrl(name, new URL(value), secrets);
  else if (isSecretPart(name, value) && (!isPath || SECRET_NAME.test(name))) secrets.set(name, value);
}

/** Anything shorter is a user name or a switch, not a key, unless its name says otherwise. */
const MIN_KEY_LENGTH = 16;

/** Whether a named value may be a secret. Very short values are left out by the redactor. */
function isSecretPart(name: string, value: string): boolean {
  return value.length >= MIN_KEY_LENGTH || SECRET_NAME.test(name);
}

function isWebUrl(text: string): boolean {
  return /^https?:\/\//.test(text) && URL.canParse(text);
}

/** Collects what may be secret in a URL: the login, the query, and in a web address the path, as in a webhook of Slack. */
function collectOfUrl(name: string, url: URL, secrets: Map<string, string>): void {
  const { username, password, searchParams, pathname } = url;
  // On development machines the password is often the user name; redacting it would remove that name from every text.
  if (password !== "" && password !== username) secrets.set(`password of ${name}`, decodeLeniently(password));
  if (password !== "" && password === username)
    secrets.set(`login of ${name}`, decodeLeniently(`${username}:${password}`));
  if (password === "" && username.length >= MIN_KEY_LENGTH)
    secrets.set(`user of ${name}`, decodeLeniently(username));
  for (const [key, value] of searchParams)
    if (isSecretPart(key, value)) secrets.set(`${key} of ${name}`, value);
  if (!isWebUrl(url.href)) return;
  for (const [index, part] of pathname.split("/").entries())
    if (part.length >= MIN_KEY_LENGTH)
      secrets.set(`part ${index} of the path of ${name}`, decodeLeniently(part));
}
