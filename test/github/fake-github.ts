import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { type CalledRequest, loadContract } from "./contract.ts";
import { readRequest, refuse, send } from "./exchange.ts";
import type { Course, FakeRun, FakeState } from "./fake-state.ts";
import { REFUSALS } from "./refusals.ts";
import { respondToDispatch } from "./workflow-dispatch.ts";
import { getRun, listRuns } from "./workflow-runs.ts";

/**
 * A fake GitHub on the loopback address. It keeps workflow runs and can fail in every way in which the real one does. Every
 * request and every response is checked against GitHub's own description of its API; violations are collected in `faults`.
 */
export interface FakeGitHub extends FakeState {
  url: string;
  dispatches(): CalledRequest[];
  runsOf(key: string): FakeRun[];
  rerun(id: number, course: Course): void;
  cancel(id: number): void;
  close(): Promise<void>;
}

/** The settings of the trainer that uses it. */
export const gitHubSettings = ({ url }: Pick<FakeGitHub, "url">) => ({
  TRAINER: "github",
  GITHUB_TOKEN: FAKE_TOKEN,
  GITHUB_REPO_OWNER: "YOUR_USER",
  GITHUB_REPO_NAME: "cinematch",
  GITHUB_API_URL: url,
});

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
  const server = createServer((request, response) => {
    void handle(request, response).catch((error: unknown) => {
      fake.faults.push(`the fake GitHub failed: ${String(error)}`);
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
    const checked = contract.checkRequest(called);
    if (!checked) return refuse(response, null, { status: 404, message: "Not Found" });
    fake.faults.push(...checked.faults.map((fault) => `${called.method} ${called.url}: ${fault}`));
    const reply = (status: number, body: unknown, headers: Record<string, string> = {}): void => {
      const faults = contract.checkResponse(checked.operationId, status, body);
      fake.faults.push(...faults.map((fault) => `response ${status} to ${checked.operationId}: ${fault}`));
      send(response, status, body, headers);
    };
    const exchange = { called, contract, response, reply };
    if (!isLoggedIn(called)) return refuse(response, null, REFUSALS["401"]);
    switch (checked.operationId) {
      case "actions/create-workflow-dispatch":
        return respondToDispatch(fake, exchange);
      case "actions/list-workflow-runs":
        return listRuns(fake, exchange);
      case "actions/get-workflow-run":
        return getRun(fake, exchange);
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
        // GitHub's example does not satisfy its own description.
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
    // An App authenticates with a JSON Web Token.
    if (/installation$|access_tokens$/.test(url)) return /^bearer ey/i.test(login);
    return fake.token === null || login === `token ${fake.token}`;
  }
}
