import type { DispatchRequest, TrainingOrder } from "../core/dispatch-request.ts";

/** Where a workflow lives. */
export interface GitHubTarget {
  apiUrl: string;
  owner: string;
  repo: string;
  workflow: string;
  ref: string;
}

/**
 * The workflow dispatch that asks GitHub Actions for one training: pure, and without the token, whose place is taken
 * by the name of its setting. All inputs are strings, as the API wants them. `decision_id` is the run's UUID and not the
 * row's number: numbers start again in a new database, and an old run of the same name would pass for this one.
 *
 * Source: GitHub REST API, "Create a workflow dispatch event", version 2026-03-10.
 */
export function renderGitHubRequest(target: GitHubTarget, order: TrainingOrder): DispatchRequest {
  const { apiUrl, owner, repo, workflow, ref } = target;
  return {
    method: "POST",
    url: `${apiUrl}/repos/${owner}/${repo}/actions/workflows/${workflow}/dispatches`,
    headers: {
      Authorization: "token GITHUB_TOKEN",
      Accept: "application/vnd.github.v3+json",
      "X-GitHub-Api-Version": "2026-03-10",
    },
    body: {
      ref,
      inputs: {
        reason: order.reason,
        // "NaN" reads as a float in the training script's argument parser; an empty text does not.
        drift_score: String(order.driftScore ?? Number.NaN),
        buffer_size: String(order.bufferSize),
        decision_id: order.runId,
      },
    },
  };
}
