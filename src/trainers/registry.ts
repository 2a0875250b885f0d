import type { Config } from "../config/config.ts";
import type { Redact } from "../process/redact.ts";
import { createCommandTrainer } from "./command.ts";
import { createMockTrainer } from "./mock.ts";
import type { Trainer } from "./trainer.ts";
import { createWebhookTrainer } from "./webhook.ts";

/** Creates the trainer that the settings name. */
export async function createTrainer(
  { trainer, models }: Pick<Config, "trainer" | "models">,
  redact: Redact,
): Promise<Trainer> {
  const targets = new Map([...models].map(([model, { github }]) => [model, github]));
  switch (trainer.name) {
    case "mock":
      return createMockTrainer(targets);
    case "github": {
      // Loaded on demand: the other trainers do not need Octokit in memory.
      const { createGitHubTrainer } = await import("./github/github.ts");
      return createGitHubTrainer({ login: trainer.login, targets, redact });
    }
    case "webhook":
      return createWebhookTrainer(trainer.webhook, redact);
    case "command":
      return createCommandTrainer(trainer.command, redact);
    default:
      return trainer satisfies never;
  }
}
