import { hashSettings } from "./draft-decision.ts";
import type { Trainer } from "./trainer.ts";

/** The trainers of this process. */
export interface Trainers {
  /**
   * The trainer of a model; the last one of a model that a reload of the settings removed; the environment's for a model that
   * they never named.
   */
  of(model: string): Trainer;
  /** The trainers that a model had before a reload, the latest first. */
  before(model: string): readonly Trainer[];
  /** Each trainer that a model uses, once. */
  all(): readonly Trainer[];
}

/** What a dispatch says about its trainer. */
interface Dispatched {
  model: string;
  trainer: string;
  /** Hash of the settings that rendered its request. */
  settingsHash?: string | null;
}

/**
 * The trainer that a dispatch was made for, if need be with the settings that a reload has replaced since. Null if its model
 * has had no such trainer since this process started: such a dispatch is left to a service that uses the old one.
 */
export function findTrainer(
  trainers: Pick<Trainers, "of" | "before">,
  { model, trainer: name, settingsHash }: Dispatched,
): Trainer | null {
  const candidates = [trainers.of(model), ...trainers.before(model)].filter(
    (trainer) => trainer.name === name,
  );
  const [latest = null] = candidates;
  if (candidates.length < 2) return latest;
  return candidates.find((trainer) => hashSettings(trainer, model) === settingsHash) ?? latest;
}
