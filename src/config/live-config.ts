import type { ModelTrainer } from "../trainers/trainer.ts";
import type { Config } from "./config.ts";
import { findModel } from "./find-model.ts";
import { compareModels, type ModelChanges } from "./model-changes.ts";
import type { ModelConfig } from "./model-config.ts";

/** The settings of a running process, of which a reload replaces those of the models. */
export interface LiveConfig {
  /** The models in force. Not to be kept. */
  models(): ReadonlyMap<string, ModelConfig>;
  /**
   * The settings of a model for a run that is under way: those in force, or the last ones if a reload removed the model.
   *
   * @throws PermanentError for a model that the settings never named.
   */
  findForRun(model: string): ModelConfig;
  /** The trainers of a model: the one in force first, then those before a reload. */
  listTrainers(model: string): readonly ModelTrainer[];
  /** The environment's trainer and all that `listTrainers` knows. */
  listAllTrainers(): readonly ModelTrainer[];
  replace(next: Pick<Config, "models">): ModelChanges;
}

export function createLiveConfig({
  trainer,
  models: initial,
}: Pick<Config, "trainer" | "models">): LiveConfig {
  let models = initial;
  const removed = new Map<string, ModelConfig>();
  const earlier = new Map<string, ModelTrainer[]>();

  function listTrainers(model: string): ModelTrainer[] {
    const own = models.get(model)?.trainer;
    const before = earlier.get(model) ?? [];
    if (own) return [own, ...before];
    return before.length > 0 ? before : [trainer];
  }

  return {
    models: () => models,
    findForRun: (model) => (models.has(model) ? undefined : removed.get(model)) ?? findModel(models, model),
    listTrainers,
    listAllTrainers: () => [
      trainer,
      ...[...models.values()].map((own) => own.trainer),
      ...[...earlier.values()].flat(),
    ],
    replace(next) {
      const changes = compareModels(models, next.models);
      for (const model of changes.retrained) {
        const own = models.get(model)?.trainer;
        if (own) earlier.set(model, [own, ...(earlier.get(model) ?? [])]);
      }
      for (const model of changes.removed) removed.set(model, findModel(models, model));
      for (const model of changes.added) removed.delete(model);
      // What is kept about a model, such as its statements, is kept by the object of its settings.
      const before = models;
      const changed = new Set(changes.changed);
      models = new Map(
        [...next.models].map(([name, own]) => [name, changed.has(name) ? own : (before.get(name) ?? own)]),
      );
      return changes;
    },
  };
}
