import { z } from "zod";
import type { Settings, ValuesOf } from "../../core/setting.ts";
import { openUrl, secret, serverUrl } from "../../settings/forms.ts";

export const WEBHOOK_SETTINGS = {
  url: {
    variable: "TRAINER_URL",
    schema: serverUrl(["http", "https"]),
    required: "the URL that takes the request",
    meaning: "Where requests are posted.",
    secret: "login",
  },
  secret: {
    variable: "TRAINER_SECRET",
    schema: secret,
    required: "the secret that signs it",
    meaning: "Signs requests, and the outcomes that the receiver reports.",
    secret: "value",
  },
  publicUrl: {
    variable: "PUBLIC_URL",
    schema: openUrl,
    meaning: "Where the receiver reaches Retrigger; required unless `TRAINER_OUTCOME` says otherwise.",
    secret: "hidden",
  },
  outcome: {
    variable: "TRAINER_OUTCOME",
    schema: z.enum(["callback", "status_url", "accepted"]),
    default: "callback",
    meaning:
      "How the end of a training becomes known: `callback` (the receiver posts it to `PUBLIC_URL`), `status_url` (read from the URL that the receiver's response names), or `accepted` (never: an accepted request counts as done).",
  },
} as const satisfies Settings;

export type WebhookSettings = ValuesOf<typeof WEBHOOK_SETTINGS>;

/** Without a way to learn how a training ended, each would count as lost, and its alerts would train again and again. */
export function findMissingOutcome(given: Readonly<Record<string, string | undefined>>): string[] {
  const outcome = given["TRAINER_OUTCOME"] ?? "callback";
  if (outcome !== "callback" || given["PUBLIC_URL"] !== undefined) return [];
  return [
    "PUBLIC_URL is not set: TRAINER=webhook needs a way to learn how a training ended. Set PUBLIC_URL, to which the receiver reports it; or TRAINER_OUTCOME=status_url if its responses name a status URL; or TRAINER_OUTCOME=accepted if an accepted request counts as done",
  ];
}
