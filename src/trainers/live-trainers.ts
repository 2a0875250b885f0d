import type { Redact } from "../process/redact.ts";
import { createTrainers } from "./registry.ts";
import type { Trainer, TrainerConfig } from "./trainer.ts";
import type { Trainers } from "./trainers.ts";

/** The trainers of a process whose settings may be reloaded. */
export interface LiveTrainers extends Trainers {
  /**
   * Creates the trainers of new settings, and returns what puts them in force.
   *
   * @param retrained The models that have another trainer then, or none: open trainings are followed with the one they had.
   */
  prepare(next: TrainerConfig, retrained: readonly string[]): Promise<() => void>;
}

export async function createLiveTrainers(initial: TrainerConfig, redact: Redact): Promise<LiveTrainers> {
  let config = initial;
  let current = await createTrainers(initial, redact);
  const earlier = new Map<string, Trainer[]>();
  return {
    of: (model) => (config.models.has(model) ? undefined : earlier.get(model)?.[0]) ?? current.of(model),
    before: (model) => earlier.get(model) ?? [],
    all: () => current.all(),
    async prepare(next, retrained) {
      const trainers = await createTrainers(next, redact);
      // Without the other models, which the old trainers would keep in memory.
      const old = new Map(
        retrained.flatMap((model) => {
          const own = config.models.get(model);
          return own ? [[model, own]] : [];
        }),
      );
      const replaced = await createTrainers({ ...config, models: old }, redact);
      return () => {
        for (const model of old.keys())
          earlier.set(model, [replaced.of(model), ...(earlier.get(model) ?? [])]);
        config = next;
        current = trainers;
      };
    },
  };
}
