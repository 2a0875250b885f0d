import { renderGitHubRequest, targetOf } from "./github/request.ts";
import { findFaultyInputs, TARGET_SETTINGS, toTargets } from "./github/settings.ts";
import type { TrainerDefinition } from "./trainer.ts";

/** Shows exactly what the GitHub trainer would send, without sending it. */
export const mockTrainer: TrainerDefinition<typeof TARGET_SETTINGS> = {
  name: "mock",
  meaning: "Shows the GitHub Actions call and sends nothing.",
  settings: TARGET_SETTINGS,
  findFaults: findFaultyInputs,
  // It connects to nothing.
  connectionOf: () => null,
  create({ models }) {
    const targets = toTargets(models);
    return {
      name: "mock",
      triggerWord: "trigger_mock",
      renderRequest: (order) => renderGitHubRequest(targetOf(targets, order.model), order),
      remote: null,
      preflight: async () => [],
    };
  },
};
