import { RequestError } from "@octokit/request-error";
import { explainNetworkFailure } from "../../outgoing/network-failure.ts";
import { readWait } from "../../outgoing/wait.ts";
import type { RequestResult } from "../trainer.ts";

export type Failure = Exclude<RequestResult, { outcome: "accepted" }>;

/** An error response from GitHub. */
export interface Refusal {
  status: number;
  /** GitHub's own message. */
  message: string;
  headers: Readonly<Record<string, string | number | undefined>>;
}

/** The error response behind an error; null if there was no response, for which Octokit also reports status 500. */
export function readRefusal(error: unknown): Refusal | null {
  if (!(error instanceof RequestError) || error.response === undefined) return null;
  const { status, message, response } = error;
  // Octokit appends the URL of the documentation.
  return { status, message: message.replace(/ - https?:\/\/\S+$/, ""), headers: response.headers };
}

/**
 * Classifies a failed request to GitHub. Rejected: only a person can fix it (such as 401, 403, 404, 422); the message includes
 * the remedy. Lost: GitHub may have accepted the request before it failed (5xx, a reset, a timeout).
 */
export function explainGitHubFailure(error: unknown): Failure {
  const refusal = readRefusal(error);
  if (refusal === null) {
    const { isUnsent, message } = explainNetworkFailure(error);
    return { outcome: isUnsent ? "not_sent" : "lost", message: `No response from GitHub: ${message}` };
  }
  const { status, message, headers } = refusal;
  const text = `GitHub returned ${status}: ${message}`;
  if (isRateLimit(refusal)) return { outcome: "rate_limited", message: text, waitMs: readWait(headers) };
  if (status >= 500 || status === 408) return { outcome: "lost", message: text };
  return { outcome: "rejected", message: `${text}\n${adviseOn(refusal)}` };
}

function isRateLimit({ status, message, headers }: Refusal): boolean {
  if (status === 429) return true;
  // GitHub also uses 403 for missing permissions.
  return status === 403 && (readWait(headers) !== null || /rate limit|abuse detection/i.test(message));
}

/** What to do about a refusal, judged by GitHub's message. */
function adviseOn({ status, message }: Refusal): string {
  if (/workflow_dispatch['"]? trigger/.test(message)) return DISPATCHABLE;
  if (message.startsWith("Unexpected inputs provided")) return adviseOnInputs(message);
  if (message.startsWith("No ref found"))
    return "Correct GITHUB_REF: it must be a branch or tag of the repository";
  if (/disabled workflow/.test(message))
    return "Enable the workflow on its page under Actions, or with: gh workflow enable";
  const required = /^Required input '([^']*)'/.exec(message)?.[1];
  if (required !== undefined) return `Set it in GITHUB_EXTRA_INPUTS, such as {"${required}":"..."}`;
  if (/version/i.test(message) && status === 400)
    return "Set GITHUB_API_VERSION to a version that this server supports: 2022-11-28 for an older GHES";
  switch (status) {
    case 401:
      return "The token is wrong, expired or revoked: create a new one and set GITHUB_TOKEN (or correct the App's id and key)";
    case 403:
      return "The token lacks permission: give it Actions: read and write on the repository (a classic token: the scope repo)";
    case 404:
      return "Check GITHUB_REPO_OWNER, GITHUB_REPO_NAME and GITHUB_WORKFLOW: the workflow must be on the default branch, and the token must have access to the repository";
    default:
      return "Fix what the message describes";
  }
}

const DISPATCHABLE = `Add to the workflow's file, on the default branch:
  on:
    workflow_dispatch:
      inputs:
        reason: { type: string }
        drift_score: { type: string }
        buffer_size: { type: string }
        decision_id: { type: string }`;

/** The lines that declare the inputs missing from the workflow. */
function adviseOnInputs(message: string): string {
  const names = [...message.matchAll(/"([^"]+)"/g)].map(([, name]) => name);
  return [
    "Add to the workflow's file, on the branch of GITHUB_REF:",
    "  on:",
    "    workflow_dispatch:",
    "      inputs:",
    ...names.map((name) => `        ${name}: { type: string }`),
  ].join("\n");
}
