import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type ApiJudge, createApiJudge } from "../../support/api-judge.ts";
import { closeGitHubWorld, createGitHubWorld, type GitHubWorld } from "../../support/github-world.ts";
import { JSON_TYPE, type RawResponse, sendRaw } from "../../support/http.ts";
import { addCheckOf, createPolicyWorld, listDecisions, type PolicyWorld } from "../../support/policies.ts";
import { until } from "../../support/world.ts";

/** A caller on this machine, as one of our own pages. */
function createCaller(findAddress: () => string) {
  let judge: ApiJudge | undefined;
  const send = (method: string, path: string, body?: unknown): Promise<RawResponse> => {
    const address = findAddress();
    const headers = { host: new URL(address).host, origin: address, ...JSON_TYPE };
    return sendRaw(
      address,
      method,
      `/api/v1${path}`,
      headers,
      body === undefined ? undefined : JSON.stringify(body),
    );
  };
  return {
    async post(path: string, body?: unknown): Promise<RawResponse> {
      judge ??= createApiJudge(await send("GET", "/openapi.json"));
      const response = await send("POST", path, body);
      judge.judge("POST", path, response);
      expect(judge.faults).toEqual([]);
      return response;
    },
  };
}

describe("a request for an approval", () => {
  let world: PolicyWorld;
  let address: string;
  const { post } = createCaller(() => address);
  const guarded = { policy: { when: { driftAlerts: 1 }, guards: { approval: "24h" } } };

  beforeAll(async () => {
    world = await createPolicyWorld({ yes: guarded, no: guarded });
    address = (await world.startApp({ role: "all" })).address() ?? "";
  });
  afterAll(() => world.close());

  async function requestApproval(model: string): Promise<number> {
    await addCheckOf(world, model);
    const { reason, decisionId } = await world.decide({ model });
    expect(reason).toBe("awaiting_approval");
    return decisionId ?? 0;
  }

  it("is approved, which leads to the training, and cannot be answered twice", async () => {
    const id = await requestApproval("yes");
    const approved = await post(`/decisions/${id}/approve`, { reason: "looks right" });
    expect(approved).toMatchObject({
      status: 200,
      json: { decisionId: id, model: "yes", state: "approved" },
    });
    await until("the training is requested", async () =>
      (await listDecisions(world, "yes")).some(({ decision }) => decision === "trigger_mock"),
    );
    const again = await post(`/decisions/${id}/reject`, { reason: "too late" });
    expect(again).toMatchObject({ status: 409, json: { code: "REFUSED" } });
    expect(again.text).toContain("by local");
  });

  it("is rejected", async () => {
    const id = await requestApproval("no");
    expect((await post(`/decisions/${id}/reject`, {})).status).toBe(400);
    expect(await post(`/decisions/${id}/reject`, { reason: "not now" })).toMatchObject({
      status: 200,
      json: { state: "rejected" },
    });
  });
});

describe("a dispatch", () => {
  let world: GitHubWorld;
  let address: string;
  const { post } = createCaller(() => address);

  beforeAll(async () => {
    world = await createGitHubWorld({ TRAINING_POLL_SECONDS: "1" });
    address = await world.startService({ timing: { searchMs: 500 } });
  });
  afterAll(() => closeGitHubWorld(world));

  const stateOf = async (id: number) =>
    (await world.sql("SELECT state FROM retraining_dispatches WHERE decision_id = $1", [id]))[0]?.[
      "state"
    ] as string;

  it("that was refused is sent again, and one that is unknown is resent or confirmed", async () => {
    world.github.next = ["422 disabled"];
    const { decisionId } = await world.decide();
    const id = decisionId ?? 0;
    await until("it is refused", async () => (await stateOf(id)) === "rejected");
    expect((await post(`/decisions/${id}/dispatch/resend`)).status).toBe(409);
    expect(await post(`/decisions/${id}/dispatch/retry`)).toMatchObject({
      status: 202,
      json: { decisionId: id },
    });
    await until("it is sent", async () => ["sent", "running", "succeeded"].includes(await stateOf(id)));
    expect(world.github.runs).toHaveLength(1);
    expect((await post(`/decisions/${id}/dispatch/retry`)).status).toBe(409);
    expect((await post(`/decisions/${id}/dispatch/confirm`, { training: "1" })).status).toBe(409);
    expect((await post("/decisions/999/dispatch/retry")).status).toBe(404);

    const run = String(world.github.runs[0]?.id);
    // The service searches for an unknown training too, and may find it first.
    await until("it is confirmed before it is found", async () => {
      await world.sql("UPDATE retraining_dispatches SET state = 'unknown', external_id = NULL, url = NULL");
      const { status, json } = await post(`/decisions/${id}/dispatch/confirm`, { training: run });
      if (status === 200) expect(json).toMatchObject({ decisionId: id, externalId: run });
      return status === 200;
    });
    await world.sql("DELETE FROM retraining_decisions");
    world.github.next = ["drop"];
    const lost = (await world.decide()).decisionId ?? 0;
    await until("it is unknown", async () => (await stateOf(lost)) === "unknown");
    expect((await post(`/decisions/${lost}/dispatch/resend`)).status).toBe(202);
  });
});
