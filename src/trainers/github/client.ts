import type { Redact } from "../../process/redact.ts";
import { TrainerUnavailable } from "../trainer.ts";
import { type GitHub, type GitHubLogin, READ_TIMEOUT_MS, type RepositoryAddress } from "./connection.ts";
import { explainGitHubFailure, type Failure, readRefusal } from "./failure.ts";
import { githubHeaders, type GitHubTarget } from "./request.ts";

/** Sends requests with a valid token, and renews an App's token that GitHub refuses. */
export function createClient(github: GitHub, login: GitHubLogin, redact: Redact) {
  // Set after a refusal: the next request fetches a new token.
  let isTokenDoubtful = false;

  /** @throws TokenFailure, and the errors of Octokit. */
  async function send(url: string, headers: Record<string, string>, timeoutMs: number, body?: object) {
    const sendOnce = async (isFresh: boolean) => {
      const token = await fetchToken(url, isFresh);
      return github.octokit.request({
        method: body ? "POST" : "GET",
        url,
        headers: { ...lowerCaseKeys(headers), authorization: `token ${token}` },
        ...(body ? { data: body } : {}),
        request: { signal: AbortSignal.timeout(timeoutMs), redirect: body ? "manual" : "follow" },
      });
    };
    const wasDoubtful = isTokenDoubtful;
    try {
      return await sendOnce(wasDoubtful);
    } catch (error) {
      // An App's token may have been revoked before it expired. A request that got a 401 was certainly not accepted.
      if (login.kind !== "app" || wasDoubtful || !isStatus(error, 401)) throw error;
      return sendOnce(true);
    }
  }

  async function fetchToken(url: string, isFresh: boolean): Promise<string> {
    try {
      const { token } = await github.fetchToken(repositoryOf(url), { isFresh });
      isTokenDoubtful = false;
      return token;
    } catch (error) {
      throw new TokenFailure(error);
    }
  }

  /** Classifies a failed request, with its message redacted. */
  function explain(error: unknown): Failure {
    const failure = explainGitHubFailure(error instanceof TokenFailure ? error.cause : error);
    // A permission corrected at GitHub may take effect only with a new token.
    if (failure.outcome === "rejected") isTokenDoubtful = true;
    const message = redact(failure.message);
    // Without a token, nothing was requested.
    return error instanceof TokenFailure && failure.outcome === "lost"
      ? { outcome: "not_sent", message }
      : { ...failure, message };
  }

  /** @throws TrainerUnavailable for every failure but 304 ("unchanged") and 404 ("missing"). */
  async function read(url: string, { apiVersion }: GitHubTarget, etag: string | null = null) {
    const headers = githubHeaders(apiVersion);
    try {
      return await send(
        url,
        etag === null ? headers : { ...headers, "if-none-match": etag },
        READ_TIMEOUT_MS,
      );
    } catch (error) {
      if (isStatus(error, 304)) return "unchanged";
      if (isStatus(error, 404)) return "missing";
      const failure = explain(error);
      const waitMs = failure.outcome === "rate_limited" ? (failure.waitMs ?? 60_000) : null;
      throw new TrainerUnavailable(failure.message, waitMs, { cause: error });
    }
  }

  return { send, read, explain };
}

/** A failed token request, for any reason: the request that needed the token was not sent. */
class TokenFailure extends Error {
  constructor(cause: unknown) {
    super("no token", { cause });
  }
}

function repositoryOf(url: string): RepositoryAddress {
  const [, owner = "", repo = ""] = /\/repos\/([^/]+)\/([^/]+)\//.exec(url) ?? [];
  return { owner, repo };
}

function lowerCaseKeys(headers: Record<string, string>): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]));
}

function isStatus(error: unknown, status: number): boolean {
  return readRefusal(error)?.status === status;
}
