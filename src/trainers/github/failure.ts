import { RequestError } from "@octokit/request-error";
import { explainNetworkFailure } from "../../outgoing/network-failure.ts";
import { readWait } from "../../outgoing/wait.ts";
import type { Answer } from "../trainer.ts";

export type Failure = Exclude<Answer, { outcome: "accepted" }>;

/** An answer of GitHub's that is not a success. */
export interface Refusal {
  status: number;
  /** GitHub's own message. */
  message: string;
  headers: Readonly<Record<string, string | number | undefined>>;
}

/** The answer that an error stands for; null where there was none, which Octokit calls status 500 as well. */
export function readRefusal(error: unknown): Refusal | null {
  if (!(error instanceof RequestError) || error.response === undefined) return null;
  const { status, message, response } = error;
  // Octokit adds the address of the documentation.
  return { status, message: message.replace(/ - https?:\/\/\S+$/, ""), headers: response.headers };
}

/**
 * What a failed request to GitHub means. Refused for good: what only a person mends (401, 403, 404, 422 and their like), with
 * the remedy. Lost: everything that may come after GitHub has accepted the request (5xx, a reset, a timeout).
 */
export function explainGitHubFailure(error: unknown): Failure {
  const refusal = readRefusal(error);
  if (refusal === null) {
    const { isUnsent, message } = explainNetworkFailure(error);
    return { outcome: isUnsent ? "not_sent" : "lost", message: `GitHub did not answer: ${message}` };
  }
  const { status, message, headers } = refusal;
  const text = `GitHub answered ${status}: ${message}`;
  if (isRateLimit(refusal)) return { outcome: "rate_limited", message: text, waitMs: readWait(headers) };
  if (status >= 500 || status === 408) return { outcome: "lost", message: text };
  return { outcome: "rejected", message: `${text}\n${adviseOn(refusal)}` };
}

function isRateLimit({ status, message, headers }: Refusal): boolean {
  if (status === 429) return true;
  // GitHub uses 403 for want of permission as well.
  return status === 403 && (readWait(headers) !== null || /rate limit|abuse detection/i.test(message));
}

/** What to do about a refusal, by GitHub's own words. */
function adviseOn({ status, message }: Refusal): string {
  if (/workflow_dispatch['"]? trigger/.test(message)) return DISPATCHABLE;
  if (message.startsWith("Unexpected inputs provided")) return adviseOnInputs(message);
  if (message.startsWith("No ref found"))
    return "Correct GITHUB_REF: it must be a branch or tag of the repository";
  if (/disabled workflow/.test(message))
    return "Enable the workflow on its page under Actions, or with: gh workflow enable";
  const required = /^Required input '([^']*)'/.exec(message)?.[1];
  if (required !== undefined) return `Give it in GITHUB_EXTRA_INPUTS, such as {"${required}":"..."}`;
  if (/version/i.test(message) && status === 400)
    return "Set GITHUB_API_VERSION to one that this server knows: 2022-11-28 for an older GHES";
  switch (status) {
    case 401:
      return "The token is wrong, has expired or was revoked: make another one and set GITHUB_TOKEN (or correct the App's id and key)";
    case 403:
      return "The token may not do this: give it Actions: read and write on the repository (a classic token: the scope repo)";
    case 404:
      return "Check GITHUB_REPO_OWNER, GITHUB_REPO_NAME and GITHUB_WORKFLOW: the workflow must be on the default branch, and the token must see the repository";
    default:
      return "Mend what the message names";
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

/** The lines that declare the inputs that the workflow does not know. */
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
