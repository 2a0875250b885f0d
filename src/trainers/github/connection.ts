import { createAppAuth } from "@octokit/auth-app";
import { Octokit, type OctokitOptions } from "@octokit/core";
import type { GitHubTarget } from "./request.ts";

/** How to authenticate with GitHub. */
export type GitHubLogin =
  { kind: "token"; token: string } | { kind: "app"; appId: string; privateKey: string };

/** The timeout of read-only requests. */
export const READ_TIMEOUT_MS = 15_000;

/** A connection to GitHub's API. */
export interface GitHub {
  octokit: Octokit;
  /** Fetches a valid token. @throws the error of the token request, before anything else is sent. */
  fetchToken(target: RepositoryAddress, options?: { isFresh?: boolean }): Promise<GitHubToken>;
}

export type RepositoryAddress = Pick<GitHubTarget, "owner" | "repo">;

export interface GitHubToken {
  token: string;
  /** The permissions of an App's token; null for other tokens, which do not list them. */
  permissions: Readonly<Record<string, string>> | null;
}

/** Prepares a connection; sends nothing until the first request. */
export function connectGitHub(apiUrl: string, login: GitHubLogin): GitHub {
  // Without the retry plugin: a lost request must be searched for, never sent again.
  const quiet = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };
  const options: OctokitOptions = { baseUrl: apiUrl, userAgent: "retrigger", log: quiet };
  const octokit = new Octokit(options);
  // Octokit's own requests, such as those for tokens, need a timeout too.
  octokit.hook.before("request", (request) => {
    request.request.signal ??= AbortSignal.timeout(READ_TIMEOUT_MS);
  });
  if (login.kind === "token")
    return { octokit, fetchToken: async () => ({ token: login.token, permissions: null }) };

  // Caches each token for its lifetime of one hour.
  const { appId, privateKey } = login;
  const auth = createAppAuth({ appId, privateKey, request: octokit.request, log: quiet });
  const installations = new Map<string, number>();
  const findInstallation = async ({ owner, repo }: RepositoryAddress): Promise<number> => {
    const known = installations.get(`${owner}/${repo}`);
    if (known !== undefined) return known;
    const { token } = await auth({ type: "app" });
    const { data } = await octokit.request("GET /repos/{owner}/{repo}/installation", {
      owner,
      repo,
      headers: { authorization: `bearer ${token}` },
    });
    installations.set(`${owner}/${repo}`, data.id);
    return data.id;
  };
  return {
    octokit,
    async fetchToken(target, { isFresh = false } = {}) {
      const installationId = await findInstallation(target);
      const { token, permissions } = await auth({ type: "installation", installationId, refresh: isFresh });
      return { token, permissions };
    },
  };
}
