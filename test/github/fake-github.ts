import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { type CalledRequest, type Contract, loadContract } from "./contract.ts";
import { DISPATCH_ANSWERS, type DispatchAnswer, type Refusal, REFUSALS } from "./refusals.ts";

/** How a run goes, once it is started. Words and pauses are the fake's to choose, as they are GitHub's. */
export interface Course {
  queuedMs: number;
  runningMs: number;
  conclusion: string;
  /** A word for its status that nobody has heard of. */
  strangeStatus?: string;
}

export interface FakeRun {
  id: number;
  name: string;
  inputs: Record<string, unknown>;
  createdAt: number;
  attempt: number;
  attemptAt: number;
  course: Course;
}

/**
 * A GitHub on the loopback address: it keeps repositories' runs, and can fail in each way in which the real one does. GitHub's
 * own description judges every request and every answer; what it finds is in `faults`.
 */
export interface FakeGitHub {
  url: string;
  /** Requests that GitHub's contract forbids, and answers of ours that it does not know. */
  faults: string[];
  requests: CalledRequest[];
  runs: FakeRun[];
  /** What becomes of the next dispatches, one after the other; then they are accepted. */
  next: DispatchAnswer[];
  course: Course;
  /** After so long a new run is in the list. */
  listLagMs: number;
  /** The token that may do everything; another one is answered with 401. */
  token: string | null;
  /** Permissions of the token, as a preflight sees them. */
  permissions: { push: boolean; scopes: string | null; actions: "read" | "write" };
  workflow: { state: string; text: string };
  /** Versions that it knows; an older server knows no newer one, and answers a dispatch with 204 at most. */
  isOldServer: boolean;
  dispatches(): CalledRequest[];
  runsOf(key: string): FakeRun[];
  rerun(id: number, course: Course): void;
  cancel(id: number): void;
  close(): Promise<void>;
}

export const FAKE_TOKEN = "ghp_0123456789abcdefghijFAKETOKEN0123456";

const WORKFLOW = `name: Model training
run-name: Retrain \${{ inputs.decision_id }}
on:
  workflow_dispatch:
    inputs:
      reason: { type: string }
      drift_score: { type: string }
      buffer_size: { type: string }
      decision_id: { type: string }
`;

export async function startFakeGitHub(changes: Partial<FakeGitHub> = {}, port = 0): Promise<FakeGitHub> {
  const contract = await loadContract();
  const sockets = new Set<Socket>();
  let lastId = 30_433_642;
  const server = createServer((request, response) => {
    void handle(request, response).catch((error: unknown) => {
      fake.faults.push(`the fake failed: ${String(error)}`);
      response.destroy();
    });
  });
  server.on("connection", (socket) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
  });
  server.listen(port, "127.0.0.1");
  await once(server, "listening");

  const fake: FakeGitHub = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    faults: [],
    requests: [],
    runs: [],
    next: [],
    course: { queuedMs: 100, runningMs: 400, conclusion: "success" },
    listLagMs: 0,
    token: FAKE_TOKEN,
    permissions: { push: true, scopes: null, actions: "write" },
    workflow: { state: "active", text: WORKFLOW },
    isOldServer: false,
    dispatches: () => fake.requests.filter(({ url }) => url.endsWith("/dispatches")),
    runsOf: (key) => fake.runs.filter(({ name }) => name === `Retrain ${key}`),
    rerun(id, course) {
      const run = fake.runs.find((known) => known.id === id);
      if (run) Object.assign(run, { attempt: run.attempt + 1, attemptAt: Date.now(), course });
    },
    cancel(id) {
      const run = fake.runs.find((known) => known.id === id);
      if (run) run.course = { queuedMs: 0, runningMs: 0, conclusion: "cancelled" };
    },
    async close() {
      server.close();
      for (const socket of sockets) socket.destroy();
      await once(server, "close");
    },
    ...changes,
  };
  return fake;

  async function handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const called = await readRequest(request);
    fake.requests.push(called);
    const judged = contract.judgeRequest(called);
    if (!judged) return refuse(response, null, { status: 404, message: "Not Found" });
    fake.faults.push(...judged.faults.map((fault) => `${called.method} ${called.url}: ${fault}`));
    const reply = (status: number, body: unknown, headers: Record<string, string> = {}): void => {
      const faults = contract.judgeAnswer(judged.operationId, status, body);
      fake.faults.push(...faults.map((fault) => `answer ${status} to ${judged.operationId}: ${fault}`));
      send(response, status, body, headers);
    };
    if (!isLoggedIn(called)) return refuse(response, null, REFUSALS["401"]);
    switch (judged.operationId) {
      case "actions/create-workflow-dispatch":
        return dispatch(called, response, reply);
      case "actions/list-workflow-runs":
        return list(called, reply);
      case "actions/get-workflow-run":
        return get(called, response, reply);
      case "actions/get-workflow":
        return reply(200, {
          ...contract.example("workflow"),
          state: fake.workflow.state,
          path: ".github/workflows/model_training.yml",
        });
      case "repos/get-content":
        return reply(200, {
          ...contract.example("content-file-response-if-content-is-a-file"),
          content: Buffer.from(fake.workflow.text).toString("base64"),
        });
      case "repos/get": {
        const { push, scopes } = fake.permissions;
        // GitHub's example lacks what its own description requires.
        const { source: _, parent: __, ...example } = contract.example("full-repository-default-response");
        const permissions = { admin: false, push, pull: true };
        return reply(
          200,
          { ...example, permissions, language: null },
          scopes === null ? {} : { "x-oauth-scopes": scopes },
        );
      }
      case "actions/cancel-workflow-run":
        return refuse(
          response,
          null,
          fake.permissions.actions === "write" ? REFUSALS["404"] : REFUSALS["403"],
        );
      case "apps/get-repo-installation":
        return reply(200, { ...contract.example("installation"), id: 4711 });
      case "apps/create-installation-access-token":
        return reply(201, {
          ...contract.example("installation-token"),
          token: fake.token ?? FAKE_TOKEN,
          expires_at: new Date(Date.now() + 3_600_000).toISOString(),
          permissions: { actions: fake.permissions.actions, metadata: "read" },
        });
      default:
        return refuse(response, null, REFUSALS["404"]);
    }
  }

  function isLoggedIn({ url, headers }: CalledRequest): boolean {
    const login = headers["authorization"] ?? "";
    // An App proves itself by a JSON web token.
    if (/installation$|access_tokens$/.test(url)) return /^bearer ey/i.test(login);
    return fake.token === null || login === `token ${fake.token}`;
  }

  async function dispatch(
    called: CalledRequest,
    response: ServerResponse,
    reply: (status: number, body: unknown) => void,
  ): Promise<void> {
    const { ref, inputs = {}, ...unknown } = called.body as { ref: string; inputs?: Record<string, unknown> };
    const isText = Object.values(inputs).every((value) => typeof value === "string");
    if (!isText) fake.faults.push("an input is not a text");
    const version = called.headers["x-github-api-version"];
    if (fake.isOldServer && (version !== "2022-11-28" || Object.keys(unknown).length > 0))
      return refuse(response, null, { status: 400, message: `"${version}" is not a supported API version.` });
    const answer = fake.next.shift() ?? (fake.isOldServer ? "204" : "accept");
    if (answer in REFUSALS) return refuse(response, called, REFUSALS[answer as keyof typeof REFUSALS]);
    const start = (): FakeRun => {
      const now = Date.now();
      lastId += 1;
      const run = { id: lastId, name: `Retrain ${String(inputs["decision_id"])}`, inputs, createdAt: now };
      fake.runs.push({ ...run, attempt: 1, attemptAt: now, course: { ...fake.course } });
      return fake.runs.at(-1) as FakeRun;
    };
    if (ref === "nowhere") return refuse(response, null, REFUSALS["422 ref"]);
    switch (answer as (typeof DISPATCH_ANSWERS)[number]) {
      case "accept":
      case "double": {
        const run = start();
        if (answer === "double") start();
        const [run_url, html_url] = [runUrl(called, run.id), pageUrl(run.id)];
        return reply(200, { workflow_run_id: run.id, run_url, html_url });
      }
      case "double, naming the newer": {
        start();
        // The newer one leaves at once, as the example's first step has it.
        const { id, course } = start();
        Object.assign(course, { queuedMs: 0, runningMs: 0, conclusion: "success" });
        return reply(200, { workflow_run_id: id, run_url: runUrl(called, id), html_url: pageUrl(id) });
      }
      case "204":
        start();
        return reply(204, null);
      case "accept and drop":
        start();
        response.destroy();
        return;
      case "double and drop":
        start();
        start();
        response.destroy();
        return;
      case "accept and hang":
        start();
        return;
      case "accept and 502":
        start();
        return send(response, 502, { message: "Server Error" });
      case "drop":
        response.destroy();
        return;
      case "500":
        return send(response, 500, { message: "Server Error" });
      default:
        throw new Error(`what is ${answer}?`);
    }
  }

  function list(called: CalledRequest, reply: (status: number, body: unknown) => void): void {
    const query = new URLSearchParams(called.url.split("?")[1]);
    const since = Date.parse((query.get("created") ?? "").replace(/^>=/, ""));
    const [size, page] = [Number(query.get("per_page") ?? 30), Number(query.get("page") ?? 1)];
    const seen = fake.runs
      .filter(({ createdAt }) => createdAt >= since && Date.now() - createdAt >= fake.listLagMs)
      .toSorted((a, b) => b.id - a.id);
    const runs = seen.slice((page - 1) * size, page * size).map((run) => describe(contract, called, run));
    reply(200, { total_count: seen.length, workflow_runs: runs });
  }

  function get(
    called: CalledRequest,
    response: ServerResponse,
    reply: (status: number, body: unknown, headers?: Record<string, string>) => void,
  ): void {
    const run = fake.runs.find(({ id }) => called.url.endsWith(`/runs/${id}`));
    if (!run) return refuse(response, null, REFUSALS["404"]);
    const body = describe(contract, called, run);
    const etag = `W/"${String(body["status"])}-${String(body["conclusion"])}-${run.attempt}"`;
    if (called.headers["if-none-match"] === etag) return send(response, 304, null, { etag });
    reply(200, body, { etag });
  }
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

function runUrl({ headers, url }: CalledRequest, id: number): string {
  const [, repository = ""] = /(\/repos\/[^/]+\/[^/]+)\//.exec(url) ?? [];
  return `http://${headers["host"]}${repository}/actions/runs/${id}`;
}

function pageUrl(id: number): string {
  return `https://github.com/YOUR_USER/cinematch/actions/runs/${id}`;
}

function refuse(
  response: ServerResponse,
  called: CalledRequest | null,
  { status, message, headers = () => ({}) }: Refusal,
): void {
  // GitHub may quote what it was sent.
  const quoted = called === null ? message : message.replace("$TOKEN", called.headers["authorization"] ?? "");
  send(response, status, { message: quoted, documentation_url: "https://docs.github.com/rest" }, headers());
}

function send(
  response: ServerResponse,
  status: number,
  body: unknown,
  headers: Record<string, string> = {},
): void {
  response.writeHead(status, { "content-type": "application/json; charset=utf-8", ...headers });
  response.end(body === null ? undefined : JSON.stringify(body));
}

async function readRequest(request: IncomingMessage): Promise<CalledRequest> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  const text = Buffer.concat(chunks).toString();
  return {
    method: request.method ?? "",
    url: request.url ?? "",
    headers: request.headers as Record<string, string>,
    body: text === "" ? undefined : JSON.parse(text),
  };
}
