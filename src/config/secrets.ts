import type { Setting, Settings } from "../core/setting.ts";
import { TRAINERS } from "../trainers/registry.ts";
import type { Layer } from "./layer.ts";

/**
 * The values that must never be shown, by a description of each: those of the environment, and those of the variables that
 * the YAML file names.
 */
export function collectSecrets(
  settings: readonly Setting[],
  environment: Readonly<Record<string, unknown>>,
  layers: Iterable<Layer>,
): Map<string, string> {
  const secrets = new Map<string, string>();
  for (const { variable, secret } of settings) {
    const value = environment[variable];
    if (typeof value !== "string") continue;
    if (secret === "value") secrets.set(variable, value);
    if (secret === "login") collectLogin(variable, new URL(value), secrets);
  }
  for (const layer of layers) collectOfLayer(layer, secrets);
  return secrets;
}

function collectOfLayer({ database, trainer }: Layer, secrets: Map<string, string>): void {
  if (database !== null) collectLogin(database.variable, new URL(database.url), secrets);
  const settings: Settings = TRAINERS.find(({ name }) => name === trainer.name)?.settings ?? {};
  for (const [key, variable] of Object.entries(trainer.variables)) {
    const value = String(trainer.own[key]);
    if (settings[key]?.secret === "login") collectLogin(variable, new URL(value), secrets);
    else secrets.set(variable, value);
  }
}

/** Anything shorter is a user name or a switch, not a key. */
const MIN_KEY_LENGTH = 16;

function collectLogin(
  name: string,
  { username, password, searchParams }: URL,
  secrets: Map<string, string>,
): void {
  // On development machines the password is often the user name; redacting it would remove that name from every text.
  if (password !== "" && password !== username)
    secrets.set(`password of ${name}`, decodeURIComponent(password));
  if (password === "" && username.length >= MIN_KEY_LENGTH)
    secrets.set(`user of ${name}`, decodeURIComponent(username));
  for (const [key, value] of searchParams)
    if (value.length >= MIN_KEY_LENGTH) secrets.set(`${key} of ${name}`, value);
}
