import type { Settings, ValuesOf } from "../core/setting.ts";
import type { Redact } from "../process/redact.ts";
import { commandTrainer } from "./command/command.ts";
import { githubTrainer } from "./github/github.ts";
import { mockTrainer } from "./mock.ts";
import type { ModelTrainer, Trainer, TrainerConfig, TrainerDefinition } from "./trainer.ts";
import type { Trainers } from "./trainers.ts";
import { webhookTrainer } from "./webhook/webhook.ts";

/** The trainers that settings can select. Their settings, secrets and documentation follow from their definitions. */
export const TRAINERS: readonly TrainerDefinition[] = [
  mockTrainer,
  githubTrainer,
  webhookTrainer,
  commandTrainer,
];

/** The models that share a trainer. */
interface Group {
  definition: TrainerDefinition;
  settings: ValuesOf<Settings>;
  models: Map<string, ValuesOf<Settings>>;
}

/** Creates the trainers of the models. Models whose trainers have the same name and connection share one. */
export async function createTrainers(
  { trainer: environments, models }: TrainerConfig,
  redact: Redact,
): Promise<Trainers> {
  const { environment } = environments;
  const groups = new Map<string, Group>();
  const fallbackKey = addGroup(groups, environments);
  const keys = new Map<string, string>();
  for (const [model, { trainer }] of models) {
    const key = addGroup(groups, trainer);
    groups.get(key)?.models.set(model, trainer.settings);
    keys.set(model, key);
  }
  const trainers = new Map<string, Trainer>();
  for (const [key, { definition, ...group }] of groups)
    trainers.set(key, await definition.create({ ...group, environment, redact }));
  const get = (key: string): Trainer => {
    const trainer = trainers.get(key);
    if (!trainer) throw new Error("a model has no trainer");
    return trainer;
  };
  const fallback = get(fallbackKey);
  const byModel = new Map([...keys].map(([model, key]) => [model, get(key)]));
  return {
    of: (model) => byModel.get(model) ?? fallback,
    before: () => [],
    all: () => [...new Set(byModel.values())],
  };
}

/** Makes sure that there is a group for a trainer's settings, and returns its key. */
function addGroup(groups: Map<string, Group>, { name, settings }: ModelTrainer): string {
  const definition = TRAINERS.find((trainer) => trainer.name === name);
  if (!definition) throw new Error(`Unknown trainer: ${name}`);
  const connection = definition.connectionOf ? definition.connectionOf(settings) : settings;
  const key = JSON.stringify([name, connection]);
  if (!groups.has(key)) groups.set(key, { definition, settings, models: new Map() });
  return key;
}
