import { z } from "zod";
import type { Settings, ValuesOf } from "../../core/setting.ts";
import { secret, serverUrl, urlWithoutLogin } from "../../settings/schemas.ts";

export const WEBHOOK_SETTINGS = {
  url: {
    variable: "TRAINER_URL",
    schema: serverUrl(["http", "https"]),
    required: "the URL to post requests to",
    meaning: "The URL to which requests are posted.",
    secret: "login",
  },
  secret: {
    variable: "TRAINER_SECRET",
    schema: secret,
    required: "the secret that signs requests",
    meaning: "Signs requests, and the outcomes that the receiver reports.",
    secret: "value",
  },
  publicUrl: {
    variable: "PUBLIC_URL",
    schema: urlWithoutLogin,
    meaning: "The URL at which the receiver reaches Retrigger; required with `TRAINER_OUTCOME=callback`.",
    secret: "hidden",
  },
  outcome: {
    variable: "TRAINER_OUTCOME",
    schema: z.enum(["callback", "status_url", "accepted"]),
    default: "callback",
    meaning:
      "How Retrigger learns the outcome of a training: `callback` (the receiver posts it to `PUBLIC_URL`), `status_url` (polled at the URL in the receiver's response), or `accepted` (never: an accepted request counts as a success).",
  },
} as const satisfies Settings;

export type WebhookSettings = ValuesOf<typeof WEBHOOK_SETTINGS>;

/** Without a way to learn the outcome, every training would count as lost, and its alerts would train again and again. */
export function findMissingOutcome(given: Readonly<Record<string, string | undefined>>): string[] {
  const outcome = given["TRAINER_OUTCOME"] ?? "callback";
  if (outcome !== "callback" || given["PUBLIC_URL"] !== undefined) return [];
  return [
    "PUBLIC_URL is not set: TRAINER=webhook needs a way to learn how a training ended. Set PUBLIC_URL, to which the receiver reports the outcome; or TRAINER_OUTCOME=status_url if its responses name a status URL; or TRAINER_OUTCOME=accepted if an accepted request counts as a success",
  ];
}
