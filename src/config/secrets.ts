import type { Setting, Settings } from "../core/setting.ts";
import { TRAINERS } from "../trainers/registry.ts";
import type { ModelTrainer } from "../trainers/trainer.ts";

/** The values that must never be shown, by a description of each. */
export function collectSecrets(
  settings: readonly Setting[],
  environment: Readonly<Record<string, unknown>>,
): Map<string, string> {
  const secrets = new Map<string, string>();
  for (const { variable, secret } of settings) {
    const value = environment[variable];
    if (typeof value !== "string") continue;
    if (secret === "value") secrets.set(variable, value);
    if (secret === "login") collectLogin(variable, new URL(value), secrets);
  }
  return secrets;
}

/** The secrets in the trainer settings of models that are not the environment's, by a description of each. */
export function collectTrainerSecrets(
  models: ReadonlyMap<string, { trainer: ModelTrainer }>,
  known: ReadonlyMap<string, string>,
): Map<string, string> {
  const found = new Map<string, string>();
  const values = new Set(known.values());
  for (const [model, { trainer }] of models) {
    const settings: Settings = TRAINERS.find(({ name }) => name === trainer.name)?.settings ?? {};
    const byVariable = Object.entries(settings).map(([key, { variable }]) => [
      variable,
      trainer.settings[key],
    ]);
    for (const [name, value] of collectSecrets(Object.values(settings), Object.fromEntries(byVariable))) {
      if (values.has(value)) continue;
      values.add(value);
      found.set(`${name} of ${model}`, value);
    }
  }
  return found;
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
