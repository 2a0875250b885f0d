import { type GitHubTarget, renderGitHubRequest, targetOf } from "./github/request.ts";
import type { Trainer } from "./trainer.ts";

/** Shows exactly what the GitHub trainer would send, and sends nothing. */
export function createMockTrainer(targets: ReadonlyMap<string, GitHubTarget>): Trainer {
  return {
    name: "mock",
    triggerWord: "trigger_mock",
    renderRequest: (order) => renderGitHubRequest(targetOf(targets, order.model), order),
    remote: null,
    preflight: async () => [],
  };
}
