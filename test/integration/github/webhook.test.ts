import { sign } from "@octokit/webhooks-methods";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { closeGitHubWorld, createGitHubWorld, type GitHubWorld } from "../../support/github-world.ts";
import { until } from "../../support/world.ts";

let world: GitHubWorld;
beforeEach(async () => {
  world = await createGitHubWorld({ GITHUB_WEBHOOK_SECRET: "a secret of the webhook" });
});
afterEach(() => closeGitHubWorld(world));

describe("GitHub's webhook", () => {
  const event = (run: object) => JSON.stringify({ action: "completed", workflow_run: run });

  async function post(
    address: string,
    body: string,
    headers: Record<string, string> = {},
  ): Promise<Response> {
    const signature = body === "" ? "sha256=" : await sign("a secret of the webhook", body);
    return fetch(`${address}/api/v1/github/webhook`, {
      method: "POST",
      body,
      headers: {
        "content-type": "application/json",
        "x-github-event": "workflow_run",
        "x-hub-signature-256": signature,
        ...headers,
      },
    });
  }

  it("triggers a poll of the training, and nothing that it claims is trusted", async () => {
    world.github.course = { queuedMs: 100, runningMs: 5_000, conclusion: "success" };
    const address = await world.startService({ timing: { pollMs: 60_000 } });
    const { runId } = await world.decide();
    const id = world.github.runs[0]?.id;
    // First it claims that the run has ended although it has not, then it reports an outdated status.
    expect(
      (await post(address, event({ id, display_title: null, status: "completed", conclusion: "failure" })))
        .status,
    ).toBe(202);
    await until("the run was polled", async () => {
      const rows = await world.sql("SELECT FROM retraining_dispatches WHERE status IS NOT NULL");
      return rows.length === 1;
    });
    const [row] = await world.sql("SELECT state FROM retraining_dispatches");
    expect(["sent", "running"]).toContain(row?.["state"]);
    const endsAt = (world.github.runs[0]?.createdAt ?? 0) + 5_200;
    await until("the run has ended", async () => Date.now() > endsAt);
    expect(
      (await post(address, event({ id: -1, display_title: `Retrain ${runId}`, status: "queued" }))).status,
    ).toBe(202);
    expect((await world.waitForTraining(runId)).state).toBe("succeeded");
  });

  it("is accepted only if it is signed, and ignored unless it is about a training of ours", async () => {
    const address = await world.startService();
    const { runId } = await world.decide();
    const body = event({ id: world.github.runs[0]?.id });
    const forged = await sign("another secret", body);
    expect((await post(address, body, { "x-hub-signature-256": forged })).status).toBe(401);
    expect((await post(address, body, { "x-hub-signature-256": "" })).status).toBe(401);
    expect(
      (await post(address, body, { "x-hub-signature-256": "sha256=äöü" }).catch(() => ({ status: 401 })))
        .status,
    ).toBe(401);
    expect((await post(address, "")).status).toBe(401);
    expect((await post(address, body, { "x-github-event": "ping" })).status).toBe(202);
    expect(await (await post(address, event({ id: 1 }))).json()).toEqual({
      ignored: "workflow_run",
    });
    expect((await post(address, "{}")).status).toBe(400);
    expect((await post(address, event({ id: "\0" }))).status).toBe(400);
    expect((await post(address, `{"x":"${"x".repeat(2_000_000)}"}`)).status).toBe(413);
    await world.waitForTraining(runId);
  });

  it("responds with 404 if no secret is set", async () => {
    await closeGitHubWorld(world);
    world = await createGitHubWorld();
    const address = await world.startService();
    expect((await post(address, "{}")).status).toBe(404);
  });
});
