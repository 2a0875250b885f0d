import type { Setting } from "../core/setting.ts";

/** The values that must never be shown, by what they are. */
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

/** Anything shorter is not a key: a user's name, or a switch. */
const SHORTEST_KEY = 16;

function collectLogin(
  name: string,
  { username, password, searchParams }: URL,
  secrets: Map<string, string>,
): void {
  // On many a development machine the password is the user's name, and redacting it would blot that name out of every text.
  if (password !== "" && password !== username)
    secrets.set(`password of ${name}`, decodeURIComponent(password));
  if (password === "" && username.length >= SHORTEST_KEY)
    secrets.set(`user of ${name}`, decodeURIComponent(username));
  for (const [key, value] of searchParams)
    if (value.length >= SHORTEST_KEY) secrets.set(`${key} of ${name}`, value);
}
