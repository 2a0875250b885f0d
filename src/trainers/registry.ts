import type { Redact } from "../process/redact.ts";
import { commandTrainer } from "./command/command.ts";
import { githubTrainer } from "./github/github.ts";
import { mockTrainer } from "./mock.ts";
import type { ConfiguredTrainer, ModelTrainer, Trainer, TrainerDefinition } from "./trainer.ts";
import { webhookTrainer } from "./webhook/webhook.ts";

/** The trainers that TRAINER can select. Their settings, secrets and documentation follow from their definitions. */
export const TRAINERS: readonly TrainerDefinition[] = [
  mockTrainer,
  githubTrainer,
  webhookTrainer,
  commandTrainer,
];

/** Creates the configured trainer. */
export async function createTrainer(
  config: {
    trainer: ConfiguredTrainer;
    models: ReadonlyMap<string, { trainer: ModelTrainer }>;
  },
  redact: Redact,
): Promise<Trainer> {
  const { name, settings, environment } = config.trainer;
  const models = new Map([...config.models].map(([model, { trainer }]) => [model, trainer.settings]));
  const definition = TRAINERS.find((trainer) => trainer.name === name);
  if (!definition) throw new Error(`Unknown trainer: ${name}`);
  return definition.create({ settings, models, environment, redact });
}
