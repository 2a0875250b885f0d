import { createAppAuth } from "@octokit/auth-app";
import { Octokit, type OctokitOptions } from "@octokit/core";
import type { GitHubTarget } from "./request.ts";

/** How to authenticate with GitHub. */
export type GitHubLogin =
  { kind: "token"; token: string } | { kind: "app"; appId: string; privateKey: string };

/** The limit of a request that starts nothing. */
export const LOOK_LIMIT_MS = 15_000;

/** A connection to the GitHub of a target: `request` with the token in its headers. */
export interface GitHub {
  octokit: Octokit;
  /** A token that may be used now. @throws what the request for it throws; nothing else was sent then. */
  fetchToken(target: RepositoryAddress, options?: { isFresh?: boolean }): Promise<GitHubToken>;
}

export type RepositoryAddress = Pick<GitHubTarget, "owner" | "repo">;

export interface GitHubToken {
  token: string;
  /** What an App's token may do; null for other tokens, which do not say. */
  permissions: Readonly<Record<string, string>> | null;
}

/** Connects to a GitHub, as the settings say who asks. Nothing is sent before it is asked for. */
export function connectGitHub(apiUrl: string, login: GitHubLogin): GitHub {
  // Without a retry plugin: what was lost must be looked for, never sent again.
  const quiet = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };
  const options: OctokitOptions = { baseUrl: apiUrl, userAgent: "retrigger", log: quiet };
  const octokit = new Octokit(options);
  // Requests that others make for us, such as those for tokens, must end too.
  octokit.hook.before("request", (request) => {
    request.request.signal ??= AbortSignal.timeout(LOOK_LIMIT_MS);
  });
  if (login.kind === "token")
    return { octokit, fetchToken: async () => ({ token: login.token, permissions: null }) };

  // Keeps tokens for the hour that they live.
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
