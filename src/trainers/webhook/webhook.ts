import type { TrainerDefinition } from "../trainer.ts";
import { findMissingOutcome, WEBHOOK_SETTINGS } from "./settings.ts";
import { createWebhookTrainer } from "./trainer.ts";

/**
 * Posts a signed CloudEvent 1.0 to a URL. Each request is sent once, but a person may resend it, so the receiver must treat
 * requests with the same `Idempotency-Key` as one.
 */
export const webhookTrainer: TrainerDefinition<typeof WEBHOOK_SETTINGS> = {
  name: "webhook",
  meaning: "Posts a signed [CloudEvent](https://cloudevents.io) to a URL of your own.",
  settings: WEBHOOK_SETTINGS,
  findFaults: findMissingOutcome,
  create: ({ settings, redact }) => createWebhookTrainer(settings, redact),
};
