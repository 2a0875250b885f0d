import type { Trainer } from "./trainer.ts";

/** The trainers of this process. */
export interface Trainers {
  /** The trainer of a model; the environment's for a model that the settings do not name. */
  of(model: string): Trainer;
  /** Each trainer that a model uses, once. */
  all(): readonly Trainer[];
}

/**
 * The trainer that a dispatch was made for. Null if the settings give its model another trainer now: such a dispatch is left
 * to a service that uses the old one.
 */
export function findTrainer(
  trainers: Pick<Trainers, "of">,
  dispatch: { model: string; trainer: string },
): Trainer | null {
  const trainer = trainers.of(dispatch.model);
  return trainer.name === dispatch.trainer ? trainer : null;
}
