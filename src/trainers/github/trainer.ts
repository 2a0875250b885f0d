import { z } from "zod";
import type { Training } from "../../core/dispatch/dispatch.ts";
import { HttpRequest } from "../../core/dispatch/request.ts";
import { PermanentError } from "../../core/errors.ts";
import type { Redact } from "../../process/redact.ts";
import {
  type Answer,
  type FollowedTraining,
  type News,
  type Trainer,
  TrainerUnavailable,
  type TrainingSearch,
} from "../trainer.ts";
import { connectGitHub, type GitHubLogin, LOOK_LIMIT_MS, type RepositoryAddress } from "./connection.ts";
import { explainGitHubFailure, type Failure, readRefusal } from "./failure.ts";
import { preflightGitHub } from "./preflight.ts";
import {
  anyTargetOf,
  githubHeaders,
  type GitHubTarget,
  renderGitHubRequest,
  targetOf,
  workflowUrl,
} from "./request.ts";

/** GitHub itself ends requests after ten seconds. */
const ASK_LIMIT_MS = 15_000;
const PAGE_SIZE = 100;
const MOST_PAGES = 10;
/** GitHub's clock and the database's may differ by this much. Run names are unique, so a larger margin costs only time. */
const CLOCK_MARGIN_MS = 60 * 60_000;

/** How the workflow of a training names its run: `run-name: Retrain ${{ inputs.decision_id }}`. */
export function runNameOf(key: string): string {
  return `Retrain ${key}`;
}

export interface GitHubOptions {
  login: GitHubLogin;
  /** The workflow of each model. */
  targets: ReadonlyMap<string, GitHubTarget>;
  redact: Redact;
}

/**
 * Dispatches a GitHub Actions workflow, and never repeats a request that may have been accepted. GitHub has no idempotency
 * key, so a dispatch is recognised by the name of its run.
 */
export function createGitHubTrainer({ login, targets, redact }: GitHubOptions): Trainer {
  const apiUrl = [...targets.values()][0]?.apiUrl ?? "https://api.github.com";
  const github = connectGitHub(apiUrl, login);
  let isTokenDoubtful = false;

  /** @throws what GitHub or the way to it throws. */
  async function send(url: string, headers: Record<string, string>, limitMs: number, body?: object) {
    const sendOnce = async (isFresh: boolean) => {
      const token = await fetchToken(url, isFresh);
      return github.octokit.request({
        method: body ? "POST" : "GET",
        url,
        headers: { ...lowerCaseKeys(headers), authorization: `token ${token}` },
        ...(body ? { data: body } : {}),
        request: { signal: AbortSignal.timeout(limitMs), redirect: body ? "manual" : "follow" },
      });
    };
    const wasDoubtful = isTokenDoubtful;
    try {
      return await sendOnce(wasDoubtful);
    } catch (error) {
      // An App's token may have been revoked within its hour. A request that got a 401 was certainly not accepted.
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

  function explain(error: unknown): Failure {
    const failure = explainGitHubFailure(error instanceof TokenFailure ? error.cause : error);
    // A permission that was corrected at GitHub may take effect only in a new token.
    if (failure.outcome === "rejected") isTokenDoubtful = true;
    const message = redact(failure.message);
    // Without a token, nothing was requested.
    return error instanceof TokenFailure && failure.outcome === "lost"
      ? { outcome: "not_sent", message }
      : { ...failure, message };
  }

  async function look(url: string, { apiVersion }: GitHubTarget, etag: string | null = null) {
    const headers = githubHeaders(apiVersion);
    try {
      return await send(url, etag === null ? headers : { ...headers, "if-none-match": etag }, LOOK_LIMIT_MS);
    } catch (error) {
      if (isStatus(error, 304)) return "unchanged";
      if (isStatus(error, 404)) return "missing";
      const failure = explain(error);
      const waitMs = failure.outcome === "rate_limited" ? (failure.waitMs ?? 60_000) : null;
      throw new TrainerUnavailable(failure.message, waitMs, { cause: error });
    }
  }

  return {
    name: "github",
    triggerWord: "trigger",
    renderRequest: (order) => renderGitHubRequest(targetOf(targets, order.model), order),
    preflight: () => preflightGitHub(github, targets, redact),
    remote: {
      traits: { followsById: true, reportsOutcomes: false, runsHere: false },
      async ask({ request }): Promise<Answer> {
        const { url, headers, body } = HttpRequest.parse(request);
        try {
          const { status, data, headers: received } = await send(url, headers, ASK_LIMIT_MS, body);
          if (status >= 300) {
            const message = `GitHub says that the repository has moved (${status}, ${String(received.location)}). Correct GITHUB_REPO_OWNER and GITHUB_REPO_NAME`;
            return { outcome: "rejected", message: redact(message) };
          }
          const started = StartedRun.safeParse(data).data;
          return {
            outcome: "accepted",
            training: started ? toTraining(started.workflow_run_id, started.html_url) : null,
          };
        } catch (error) {
          return explain(error);
        }
      },

      async find({ key, model, askedAgoMs }: TrainingSearch): Promise<Training[]> {
        const target = anyTargetOf(targets, model);
        const since = new Date(Date.now() - askedAgoMs - CLOCK_MARGIN_MS).toISOString().slice(0, 19);
        const found: z.infer<typeof Run>[] = [];
        for (let page = 1; page <= MOST_PAGES; page += 1) {
          const query = new URLSearchParams({
            event: "workflow_dispatch",
            created: `>=${since}Z`,
            per_page: String(PAGE_SIZE),
            page: String(page),
          });
          const answer = await look(`${workflowUrl(target)}/runs?${query.toString()}`, target);
          if (typeof answer === "string")
            throw new TrainerUnavailable("GitHub does not know the workflow", null);
          const { workflow_runs: runs } = parseAnswer(RunList, answer.data);
          found.push(...runs.filter(({ display_title: title }) => title === runNameOf(key)));
          if (runs.length < PAGE_SIZE) break;
        }
        // The workflow's first step exits if an older run has the same name: the oldest is the one that trains.
        return found
          .toSorted((a, b) => (BigInt(a.id) < BigInt(b.id) ? -1 : 1))
          .map(({ id, html_url: url }) => toTraining(id, url));
      },

      identify(text) {
        // The page of a run ends in its id.
        const externalId = /\/runs\/(\d+)/.exec(text)?.[1] ?? text;
        if (/^\d+$/.test(externalId)) return { externalId };
        throw new PermanentError(
          "BAD_INPUT",
          `run is "${text}": it must be the number or the URL of a GitHub Actions run`,
        );
      },

      async follow({ externalId, model, etag }: FollowedTraining): Promise<News> {
        const target = anyTargetOf(targets, model);
        const { owner, repo } = target;
        // A row that was tampered with must not lead to another address.
        if (!/^\d+$/.test(externalId))
          return { outcome: "gone", message: `"${externalId}" is not the id of a GitHub Actions run` };
        const url = `${target.apiUrl}/repos/${owner}/${repo}/actions/runs/${externalId}`;
        const answer = await look(url, target, etag);
        if (answer === "unchanged") return { outcome: "unchanged" };
        if (answer === "missing")
          return { outcome: "gone", message: `GitHub has no run ${externalId} any more` };
        const run = parseAnswer(Run, answer.data);
        return {
          outcome: "seen",
          status: run.status ?? "unknown",
          conclusion: run.conclusion,
          attempt: run.run_attempt ?? null,
          url: run.html_url,
          durationSeconds: secondsBetween(run.run_started_at ?? run.created_at, run.updated_at),
          etag: answer.headers.etag ?? null,
        };
      },
    },
  };
}

/** A failed request for a token: whatever the reason, the request that needed the token was not sent. */
class TokenFailure extends Error {
  constructor(cause: unknown) {
    super("no token", { cause });
  }
}

// JSON numbers beyond 2^53 arrive as bigint.
const RunId = z.union([z.number(), z.bigint(), z.string()]).transform(String);
const StartedRun = z.object({ workflow_run_id: RunId, html_url: z.string().nullable().catch(null) });
const Run = z.object({
  id: RunId,
  display_title: z.string().nullish(),
  // Plain strings, not enums: GitHub adds values.
  status: z.string().nullable(),
  conclusion: z.string().nullable(),
  run_attempt: z.number().optional(),
  html_url: z.string().nullable(),
  created_at: z.string().optional(),
  run_started_at: z.string().optional(),
  updated_at: z.string().optional(),
});
const RunList = z.object({ workflow_runs: z.array(Run) });

function parseAnswer<S extends z.ZodType>(schema: S, data: unknown): z.infer<S> {
  const parsed = schema.safeParse(data);
  if (parsed.success) return parsed.data;
  throw new TrainerUnavailable(`GitHub's answer is not understood: ${z.prettifyError(parsed.error)}`, null);
}

function toTraining(externalId: string, url: string | null): Training {
  return { externalId, url, statusUrl: null };
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

function secondsBetween(from: string | undefined, to: string | undefined): number | null {
  const seconds = (Date.parse(to ?? "") - Date.parse(from ?? "")) / 1000;
  return Number.isFinite(seconds) && seconds >= 0 ? seconds : null;
}
