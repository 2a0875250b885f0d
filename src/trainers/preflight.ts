import type { Logger } from "../process/logger.ts";
import type { Trainer } from "./trainer.ts";

/** Checks in the background whether the trainer would accept a request. Problems are only logged. */
export async function warnOfTrainer(trainer: Trainer, log: Logger): Promise<void> {
  try {
    for (const { level, text, remedy } of await trainer.preflight())
      if (level !== "ok") log.warn({ remedy }, text);
  } catch (error) {
    log.warn({ err: error }, "the trainer could not be checked");
  }
}
