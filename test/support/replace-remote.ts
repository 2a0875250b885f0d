import type { RemoteTrainer } from "../../src/trainers/trainer.ts";
import type { Trainers } from "../../src/trainers/trainers.ts";

/** The same trainers, with the side of each that starts trainings replaced. */
export function replaceRemote(
  trainers: Trainers,
  replace: (remote: RemoteTrainer) => RemoteTrainer,
): Trainers {
  return {
    ...trainers,
    of(model) {
      const trainer = trainers.of(model);
      return { ...trainer, remote: trainer.remote && replace(trainer.remote) };
    },
  };
}
