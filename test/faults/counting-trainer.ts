import { appendFileSync, existsSync, readFileSync } from "node:fs";
import { renderGitHubRequest, type GitHubTarget } from "../../src/trainers/github-request.ts";
import type { Trainer } from "../../src/trainers/trainer.ts";

/** One training that was asked for, as the trainer itself knows it. */
export interface Ask {
  key: string;
  /** Unix milliseconds. */
  askedAt: number;
}

export const COUNTING_TRAINER = "counting";

/** A trainer that counts: each request is a line of a file, which outlives every process that asks. */
export function createCountingTrainer(
  target: GitHubTarget,
  { logFile, losesAnswers }: { logFile: string; losesAnswers: boolean },
): Trainer {
  const training = (key: string) => ({ externalId: key, url: null });
  return {
    name: COUNTING_TRAINER,
    triggerWord: "trigger",
    renderRequest: (order) => renderGitHubRequest(target, order),
    remote: {
      async ask(_, key) {
        appendFileSync(logFile, `${JSON.stringify({ key, askedAt: Date.now() } satisfies Ask)}\n`);
        if (losesAnswers) throw new Error("the connection was reset");
        return training(key);
      },
      async find(key) {
        return readAsks(logFile).some((ask) => ask.key === key) ? training(key) : null;
      },
    },
  };
}

export function readAsks(logFile: string): Ask[] {
  if (!existsSync(logFile)) return [];
  const lines = readFileSync(logFile, "utf8").trim().split("\n");
  return lines.filter((line) => line !== "").map((line) => JSON.parse(line) as Ask);
}
