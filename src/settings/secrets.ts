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

/** The values that nobody may see, by the names of their settings. */
export function collectSecrets(settings: Settings): Map<string, string> {
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
