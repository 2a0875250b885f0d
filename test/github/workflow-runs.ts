import type { CalledRequest, Contract } from "./contract.ts";
import { type Exchange, refuse, send } from "./exchange.ts";
import type { FakeRun, FakeState } from "./fake-state.ts";
import { REFUSALS } from "./refusals.ts";

/** Responds with the list of runs, without those that are too new to be listed. */
export function listRuns(fake: FakeState, { called, contract, reply }: Exchange): void {
  const query = new URLSearchParams(called.url.split("?")[1]);
  const since = Date.parse((query.get("created") ?? "").replace(/^>=/, ""));
  const [size, page] = [Number(query.get("per_page") ?? 30), Number(query.get("page") ?? 1)];
  const seen = fake.runs
    .filter(({ createdAt }) => createdAt >= since && Date.now() - createdAt >= fake.listLagMs)
    .toSorted((a, b) => b.id - a.id);
  const runs = seen.slice((page - 1) * size, page * size).map((run) => describe(contract, called, run));
  reply(200, { total_count: seen.length, workflow_runs: runs });
}

/** Responds with one run, or with 304 if its ETag matches. */
export function getRun(fake: FakeState, { called, contract, response, reply }: Exchange): void {
  const run = fake.runs.find(({ id }) => called.url.endsWith(`/runs/${id}`));
  if (!run) return refuse(response, null, REFUSALS["404"]);
  const body = describe(contract, called, run);
  const etag = `W/"${String(body["status"])}-${String(body["conclusion"])}-${run.attempt}"`;
  if (called.headers["if-none-match"] === etag) return send(response, 304, null, { etag });
  reply(200, body, { etag });
}

function describe(contract: Contract, called: CalledRequest, run: FakeRun): Record<string, unknown> {
  const { queuedMs, runningMs, conclusion, strangeStatus } = run.course;
  const age = Date.now() - run.attemptAt;
  const endedAt = run.attemptAt + queuedMs + runningMs;
  const isEnded = age >= queuedMs + runningMs;
  const status = isEnded ? "completed" : (strangeStatus ?? (age < queuedMs ? "queued" : "in_progress"));
  return {
    ...contract.example("workflow-run"),
    id: run.id,
    display_title: run.name,
    event: "workflow_dispatch",
    status,
    conclusion: isEnded ? conclusion : null,
    run_attempt: run.attempt,
    url: runUrl(called, run.id),
    html_url: pageUrl(run.id),
    created_at: toSeconds(run.createdAt),
    run_started_at: toSeconds(run.attemptAt),
    updated_at: toSeconds(isEnded ? endedAt : Date.now()),
  };
}

function toSeconds(time: number): string {
  return new Date(time).toISOString().replace(/\.\d+Z$/, "Z");
}

export function runUrl({ headers, url }: CalledRequest, id: number): string {
  const [, repository = ""] = /(\/repos\/[^/]+\/[^/]+)\//.exec(url) ?? [];
  return `http://${headers["host"]}${repository}/actions/runs/${id}`;
}

export function pageUrl(id: number): string {
  return `https://github.com/YOUR_USER/cinematch/actions/runs/${id}`;
}
