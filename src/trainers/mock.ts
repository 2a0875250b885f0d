import { renderGitHubRequest, type GitHubTarget } from "./github-request.ts";
import type { Trainer } from "./trainer.ts";

/** Shows exactly what the GitHub trainer would send, and sends nothing. */
export function createMockTrainer(target: GitHubTarget): Trainer {
  return {
    name: "mock",
    triggerWord: "trigger_mock",
    renderRequest: (order) => renderGitHubRequest(target, order),
    remote: null,
  };
}
