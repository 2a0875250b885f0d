import type { HttpRequest, TrainingOrder } from "../../core/dispatch/request.ts";
import { PermanentError } from "../../core/errors.ts";

/** What a workflow receives about a decision, by its default input names. */
export const GITHUB_INPUTS = ["reason", "drift_score", "buffer_size", "decision_id"] as const;
type GitHubInput = (typeof GITHUB_INPUTS)[number];

/** A workflow and the names of its inputs. */
export interface GitHubTarget {
  apiUrl: string;
  apiVersion: string;
  owner: string;
  repo: string;
  workflow: string;
  ref: string;
  inputNames: Readonly<Record<GitHubInput, string>>;
  /** Inputs that are the same for each training. */
  extraInputs: Readonly<Record<string, string>>;
}

/** The workflow that trains a model. */
export function targetOf(targets: ReadonlyMap<string, GitHubTarget>, model: string): GitHubTarget {
  const target = targets.get(model);
  if (!target) throw new PermanentError("UNKNOWN_MODEL", `model ${model} has no workflow in the settings`);
  return target;
}

/** The URL of a target's workflow in GitHub's API. */
export function workflowUrl({ apiUrl, owner, repo, workflow }: GitHubTarget): string {
  return `${apiUrl}/repos/${owner}/${repo}/actions/workflows/${workflow}`;
}

/**
 * Renders the workflow dispatch that requests one training: pure, with the name of the setting in place of the token. All
 * inputs are strings, as the API requires. `decision_id` is the run's UUID and not the row's number: numbers start again in
 * a new database, where an old run of the same name would be mistaken for this one.
 *
 * Source: GitHub REST API, "Create a workflow dispatch event", version 2026-03-10.
 */
export function renderGitHubRequest(target: GitHubTarget, order: TrainingOrder): HttpRequest {
  const { apiVersion, ref, inputNames, extraInputs } = target;
  return {
    kind: "http",
    method: "POST",
    url: `${workflowUrl(target)}/dispatches`,
    headers: { Authorization: "token GITHUB_TOKEN", ...githubHeaders(apiVersion) },
    body: {
      ref,
      inputs: {
        [inputNames.reason]: order.reason,
        // The argument parser of the training script accepts "NaN" as a float, but not an empty string.
        [inputNames.drift_score]: String(order.driftScore ?? Number.NaN),
        [inputNames.buffer_size]: String(order.bufferSize),
        [inputNames.decision_id]: order.runId,
        ...extraInputs,
      },
    },
  };
}

/** The headers of each request to GitHub's API, except for the token. */
export function githubHeaders(apiVersion: string): Record<string, string> {
  return { Accept: "application/vnd.github.v3+json", "X-GitHub-Api-Version": apiVersion };
}
