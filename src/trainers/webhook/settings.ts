import { z } from "zod";
import type { Settings, ValuesOf } from "../../core/setting.ts";
import type { FaultWords } from "../trainer.ts";
import { secret, serverUrl, urlWithoutLogin } from "../../settings/schemas.ts";

const ORIGINS = "must be origins such as https://jobs.example.com, separated by commas";

const isOrigin = (text: string): boolean =>
  /^https?:\/\//.test(text) && URL.canParse(text) && new URL(text).origin === text;

/** The form of a browser's Origin header: scheme, host and port, without a default port. */
const origins = z.union(
  [
    z
      .string()
      .transform((text) => text.split(",").map((part) => part.trim()))
      .refine((parts) => parts.every(isOrigin), ORIGINS),
    z.array(z.string().refine(isOrigin, ORIGINS)).min(1),
  ],
  { error: ORIGINS },
);

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
  statusOrigins: {
    variable: "TRAINER_STATUS_ORIGINS",
    schema: origins,
    meaning:
      "Further servers on which a status URL may be, such as `https://jobs.example.com`, separated by commas. Without it, only the server of `TRAINER_URL`.",
    secret: "hidden",
  },
} as const satisfies Settings;

export type WebhookSettings = ValuesOf<typeof WEBHOOK_SETTINGS>;

/** Without a way to learn the outcome, every training would count as lost, and its alerts would train again and again. */
export function findMissingOutcome(
  { outcome, publicUrl }: Partial<WebhookSettings>,
  { nameOf, trainer }: FaultWords<typeof WEBHOOK_SETTINGS>,
): string[] {
  if (outcome !== "callback" || publicUrl !== undefined) return [];
  const [url, way] = [nameOf("publicUrl"), nameOf("outcome")];
  return [
    `${url} is not set: ${trainer} needs a way to learn how a training ended. Set ${url}, to which the receiver reports the outcome; or ${way}=status_url if its responses name a status URL; or ${way}=accepted if an accepted request counts as a success`,
  ];
}
