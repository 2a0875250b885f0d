import type { TrainerDefinition } from "../trainer.ts";
import { findMissingOutcome, WEBHOOK_SETTINGS } from "./settings.ts";
import { createWebhookTrainer } from "./trainer.ts";

/**
 * Posts a signed CloudEvent 1.0 to a URL. The request is sent once; the receiver must treat a second one with the same
 * `Idempotency-Key` as the same request, because a person may resend it.
 */
export const webhookTrainer: TrainerDefinition<typeof WEBHOOK_SETTINGS> = {
  name: "webhook",
  meaning: "Posts a signed [CloudEvent](https://cloudevents.io) to a URL of your own.",
  settings: WEBHOOK_SETTINGS,
  findFaults: findMissingOutcome,
  create: ({ settings, redact }) => createWebhookTrainer(settings, redact),
};
