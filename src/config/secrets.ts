import type { Settings } from "./schema.ts";

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

const URL_SETTINGS = ["DATABASE_URL", "NEON_CONNECTION_STRING", "REDIS_URL", "TRAINER_URL"] as const;

/** The values that nobody may see, by the names of their settings. */
export function collectSecrets(settings: Settings): Map<string, string> {
  const secrets = new Map<string, string>();
  for (const name of SECRET_SETTINGS) if (settings[name] !== undefined) secrets.set(name, settings[name]);
  for (const name of URL_SETTINGS)
    if (settings[name] !== undefined) collectFromUrl(name, new URL(settings[name]), secrets);
  return secrets;
}

/** What is shorter is no key: a user's name, or a switch. */
const SHORTEST_KEY = 16;

function collectFromUrl(
  name: string,
  { username, password, searchParams }: URL,
  secrets: Map<string, string>,
): void {
  // A password that is the user's name, as on many a development machine, would cut that name out of every text.
  if (password !== "" && password !== username)
    secrets.set(`password of ${name}`, decodeURIComponent(password));
  if (password === "" && username.length >= SHORTEST_KEY)
    secrets.set(`user of ${name}`, decodeURIComponent(username));
  for (const [key, value] of searchParams)
    if (value.length >= SHORTEST_KEY) secrets.set(`${key} of ${name}`, value);
}
