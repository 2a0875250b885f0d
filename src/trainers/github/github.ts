import type { TrainerDefinition } from "../trainer.ts";
import type { GitHubLogin } from "./connection.ts";
import { findFaultyInputs, findMissingLogin, GITHUB_SETTINGS, toTarget, toTargets } from "./settings.ts";

/** Dispatches GitHub Actions workflows. */
export const githubTrainer: TrainerDefinition<typeof GITHUB_SETTINGS> = {
  name: "github",
  meaning: "Dispatches a GitHub Actions workflow and follows its run.",
  settings: GITHUB_SETTINGS,
  findFaults: (values, words) => [...findMissingLogin(values, words), ...findFaultyInputs(values, words)],
  connectionOf: ({ token, appId, privateKey, apiUrl }) => [token, appId, privateKey, apiUrl],
  async create({ settings, models, redact }) {
    // Loaded on demand: the other trainers do not need Octokit in memory.
    const { createGitHubTrainer } = await import("./trainer.ts");
    const { token = "", appId, privateKey = "" } = settings;
    // Without either, as in an environment whose models all have a login of their own, GitHub refuses each request.
    const login: GitHubLogin =
      token === "" && appId !== undefined ? { kind: "app", appId, privateKey } : { kind: "token", token };
    return createGitHubTrainer({ login, targets: toTargets(models), fallback: toTarget(settings), redact });
  },
};
