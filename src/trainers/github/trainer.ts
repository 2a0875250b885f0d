import { z } from "zod";
import type { Training } from "../../core/dispatch/dispatch.ts";
import { HttpRequest } from "../../core/dispatch/request.ts";
import { PermanentError } from "../../core/errors.ts";
import type { Redact } from "../../process/redact.ts";
import {
  type PolledTraining,
  type PollResult,
  type RequestResult,
  type SearchedTraining,
  type Trainer,
  TrainerUnavailable,
} from "../trainer.ts";
import { createClient } from "./client.ts";
import { connectGitHub, type GitHubLogin } from "./connection.ts";
import { preflightGitHub } from "./preflight.ts";
import { type GitHubTarget, renderGitHubRequest, targetOf, workflowUrl } from "./request.ts";

/** GitHub ends requests after ten seconds. */
const REQUEST_TIMEOUT_MS = 15_000;
const PAGE_SIZE = 100;
const MAX_PAGES = 10;
/** Allowed difference between GitHub's clock and ours. Run names are unique, so a large margin costs only time. */
const CLOCK_MARGIN_MS = 60 * 60_000;

/** The name that the workflow gives its run: `run-name: Retrain ${{ inputs.decision_id }}`. */
function runNameOf(key: string): string {
  return `Retrain ${key}`;
}

export interface GitHubOptions {
  login: GitHubLogin;
  /** The workflow of each model. */
  targets: ReadonlyMap<string, GitHubTarget>;
  /** Where the trainings of a removed model are looked for. */
  fallback: GitHubTarget;
  redact: Redact;
}

/**
 * Dispatches GitHub Actions workflows, and never repeats a request that may have been accepted. GitHub has no idempotency
 * key, so a dispatch is identified by the name of its run.
 */
export function createGitHubTrainer({ login, targets, fallback, redact }: GitHubOptions): Trainer {
  const github = connectGitHub(fallback.apiUrl, login);
  const { send, read, explain } = createClient(github, login, redact);

  return {
    name: "github",
    triggerWord: "trigger",
    renderRequest: (order) => renderGitHubRequest(targetOf(targets, order.model), order),
    preflight: () => preflightGitHub(github, targets, redact),
    remote: {
      traits: { followsById: true, reportsOutcomes: false, runsHere: false },
      async request({ request }): Promise<RequestResult> {
        const { url, headers, body } = HttpRequest.parse(request);
        try {
          const { status, data, headers: received } = await send(url, headers, REQUEST_TIMEOUT_MS, body);
          if (status >= 300) {
            const message = `The repository has moved (${status}, ${String(received.location)}). Correct GITHUB_REPO_OWNER and GITHUB_REPO_NAME`;
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

      async search({ key, model, requestedAgoMs }: SearchedTraining): Promise<Training[]> {
        const target = targets.get(model) ?? fallback;
        const since = new Date(Date.now() - requestedAgoMs - CLOCK_MARGIN_MS).toISOString().slice(0, 19);
        const found: z.infer<typeof Run>[] = [];
        for (let page = 1; page <= MAX_PAGES; page += 1) {
          const query = new URLSearchParams({
            event: "workflow_dispatch",
            created: `>=${since}Z`,
            per_page: String(PAGE_SIZE),
            page: String(page),
          });
          const response = await read(`${workflowUrl(target)}/runs?${query.toString()}`, target);
          if (typeof response === "string")
            throw new TrainerUnavailable("GitHub cannot find the workflow", null);
          const { workflow_runs: runs } = parseResponse(RunList, response.data);
          found.push(...runs.filter(({ display_title: title }) => title === runNameOf(key)));
          if (runs.length < PAGE_SIZE) break;
        }
        // The workflow's first step exits if an older run has the same name, so the oldest run trains.
        return found
          .toSorted((a, b) => (BigInt(a.id) < BigInt(b.id) ? -1 : 1))
          .map(({ id, html_url: url }) => toTraining(id, url));
      },

      identify(text) {
        // The URL of a run contains its id.
        const externalId = /\/runs\/(\d+)/.exec(text)?.[1] ?? text;
        if (/^\d+$/.test(externalId)) return { externalId };
        throw new PermanentError(
          "BAD_INPUT",
          `run is "${text}": it must be the id or URL of a GitHub Actions run`,
        );
      },

      async poll({ externalId, model, etag }: PolledTraining): Promise<PollResult> {
        const target = targets.get(model) ?? fallback;
        const { owner, repo } = target;
        // A tampered row must not lead to another URL.
        if (!/^\d+$/.test(externalId))
          return { outcome: "gone", message: `"${externalId}" is not the id of a GitHub Actions run` };
        const url = `${target.apiUrl}/repos/${owner}/${repo}/actions/runs/${externalId}`;
        const response = await read(url, target, etag);
        if (response === "unchanged") return { outcome: "unchanged" };
        if (response === "missing")
          return { outcome: "gone", message: `GitHub no longer has run ${externalId}` };
        const run = parseResponse(Run, response.data);
        return {
          outcome: "seen",
          status: run.status ?? "unknown",
          conclusion: run.conclusion,
          attempt: run.run_attempt ?? null,
          url: run.html_url,
          durationSeconds: secondsBetween(run.run_started_at ?? run.created_at, run.updated_at),
          etag: response.headers.etag ?? null,
        };
      },
    },
  };
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

function parseResponse<S extends z.ZodType>(schema: S, data: unknown): z.infer<S> {
  const parsed = schema.safeParse(data);
  if (parsed.success) return parsed.data;
  throw new TrainerUnavailable(`Cannot parse GitHub's response: ${z.prettifyError(parsed.error)}`, null);
}

function toTraining(externalId: string, url: string | null): Training {
  return { externalId, url, statusUrl: null };
}

function secondsBetween(from: string | undefined, to: string | undefined): number | null {
  const seconds = (Date.parse(to ?? "") - Date.parse(from ?? "")) / 1000;
  return Number.isFinite(seconds) && seconds >= 0 ? seconds : null;
}
