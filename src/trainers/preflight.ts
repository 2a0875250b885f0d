import type { Logger } from "../process/logger.ts";
import type { Trainer } from "./trainer.ts";

/** Checks whether the trainer would accept a request. Problems are logged and never thrown. */
export async function logTrainerProblems(trainer: Trainer, log: Logger): Promise<void> {
  try {
    for (const { level, text, remedy } of await trainer.preflight())
      if (level !== "ok") log.warn({ remedy }, text);
  } catch (error) {
    log.warn({ err: error }, "cannot check the trainer");
  }
}
