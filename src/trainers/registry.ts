import type { Redact } from "../process/redact.ts";
import { commandTrainer } from "./command.ts";
import { githubTrainer } from "./github/github.ts";
import { mockTrainer } from "./mock.ts";
import type { ConfiguredTrainer, Trainer, TrainerDefinition } from "./trainer.ts";
import { webhookTrainer } from "./webhook.ts";

/** The trainers that TRAINER can name. Their settings, secrets and documentation follow from their definitions. */
export const TRAINERS: readonly TrainerDefinition[] = [
  mockTrainer,
  githubTrainer,
  webhookTrainer,
  commandTrainer,
];

/** Creates the configured trainer. */
export async function createTrainer(
  { name, settings, models, environment }: ConfiguredTrainer,
  redact: Redact,
): Promise<Trainer> {
  const definition = TRAINERS.find((trainer) => trainer.name === name);
  if (!definition) throw new Error(`there is no trainer ${name}`);
  return definition.create({ settings, models, environment, redact });
}
