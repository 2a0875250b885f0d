import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { hashPolicy } from "../../src/postgres/canonical-hash.ts";
import type { ShadowReport } from "../../src/core/shadow-report.ts";
import { runScript } from "../support/process.ts";
import { addCheckOf, createPolicyWorld, type PolicyWorld } from "../support/policies.ts";

const POLICY = { when: [{ driftAlerts: { atLeast: 1, within: "7d" } }] };

let world: PolicyWorld;
let url: string;
beforeAll(async () => {
  world = await createPolicyWorld({
    plain: { policy: POLICY },
    shy: { policy: POLICY, shadow: { when: { driftAlerts: { atLeast: 2, within: "7d" } } } },
    bold: { policy: POLICY, shadow: { when: { driftAlerts: { atLeast: 1, within: "30d" } } } },
  });
  const app = await world.startApp({ role: "all", port: 0 });
  url = app.address() ?? "";
}, 60_000);
afterAll(() => world.close());

const listDecisions = (model: string) =>
  world.sql(
    `SELECT id, decision, reason, reason_codes, buffer_size, alert_ids, notes, criteria, explanation, policy_hash, shadow,
       evidence - 'takenAt' - 'lastDecisions' AS evidence, content_sha256 IS NOT NULL AS is_chained
     FROM retraining_decisions WHERE model = $1 ORDER BY id`,
    [model],
  );
const report = async (model: string): Promise<ShadowReport> => {
  const { stdout, failure } = await world.run("shadow", "report", "--model", model, "--json");
  expect(failure).toBeNull();
  return (JSON.parse(stdout) as ShadowReport[])[0] as ShadowReport;
};

describe("a shadow policy", { timeout: 60_000 }, () => {
  it("is recorded beside each decision and starts nothing, whatever it says", async () => {
    await addCheckOf(world, "bold", { age: "10 days" });
    await world.decide({ model: "bold" });
    await world.decide({ model: "bold" });
    const [first, second] = await listDecisions("bold");
    expect(first).toMatchObject({
      decision: "no_action",
      reason: "no_drift_alerts",
      alert_ids: [],
      evidence: { window: "7d", checks: { total: 0, triggered: 0 }, weighed: [] },
      shadow: { decision: "trigger", reason: "drift_detected", why: "drift in ks (0.1, threshold 0.05)" },
      is_chained: true,
    });
    const { policy, shadow } = world.config.models.get("bold") ?? {};
    if (!policy || !shadow) throw new Error("bold has no shadow");
    expect(first).toMatchObject({
      policy_hash: hashPolicy(policy),
      shadow: { policyHash: hashPolicy(shadow) },
    });
    // No training answered the alert, so the shadow says the same again.
    expect(second).toMatchObject({ decision: "no_action", shadow: { decision: "trigger" } });
    expect(await world.sql("SELECT FROM retraining_dispatches WHERE model_name = 'bold'")).toEqual([]);
  });

  it("is reported with its agreement, and disagreements in a row for one reason as one", async () => {
    const ids = (await listDecisions("bold")).map(({ id }) => id as number);
    const disagreement = {
      count: 2,
      firstId: ids[0],
      lastId: ids[1],
      decided: { decision: "no_action", reason: "no_drift_alerts" },
      shadow: { decision: "trigger", reason: "drift_detected" },
    };
    expect(await report("bold")).toMatchObject({ decisions: 2, agreed: 0, disagreements: [disagreement] });
    await addCheckOf(world, "bold");
    await world.decide({ model: "bold" });
    await addCheckOf(world, "shy");
    await world.decide({ model: "shy" });
    await addCheckOf(world, "shy", { feature: "mean" });
    await world.decide({ model: "shy" });
    expect(await report("bold")).toMatchObject({ decisions: 3, agreed: 1, agreement: 33.3, unlisted: 0 });
    // What a training was for, it was for to the shadow too.
    expect(await report("shy")).toMatchObject({
      agreement: 0,
      disagreements: [
        { count: 1, decided: { decision: "trigger_mock" }, shadow: { reason: "already_acted_on" } },
        { count: 1, decided: { decision: "trigger_mock" }, shadow: { why: "only 1 of 2 drift alerts" } },
      ],
    });
    const { stdout } = await world.run("shadow", "report");
    expect(stdout).toContain("bold: 33.3 % agreement: 2 of 3 decisions differ");
    expect(stdout).toContain("shy: 0 % agreement: 2 of 2 decisions differ");
    expect(stdout).not.toContain("plain:");
  });

  it("leaves the decision as it is without one", async () => {
    for (const feature of ["ks", "mean"]) {
      await addCheckOf(world, "plain", { feature });
      await world.decide({ model: "plain" });
    }
    const [plain, shy] = [await listDecisions("plain"), await listDecisions("shy")];
    expect(
      plain.map(({ decision, reason, criteria, notes, policy_hash: hash }) => ({
        decision,
        reason,
        criteria,
        notes,
        hash,
      })),
    ).toEqual(
      shy.map(({ decision, reason, criteria, notes, policy_hash: hash }) => ({
        decision,
        reason,
        criteria,
        notes,
        hash,
      })),
    );
    expect(plain.map(({ shadow }) => shadow)).toEqual([null, null]);
  });

  it("is shown by the API, the pages, and a command elsewhere", async () => {
    const get = async (path: string): Promise<string> => (await fetch(`${url}${path}`)).text();
    expect(JSON.parse(await get("/api/v1/models/bold/shadow?since=1d"))).toMatchObject({
      since: "1d",
      decisions: 3,
      shadow: "driftAlerts 1 within 30d",
    });
    expect(await get("/models/bold")).toContain(
      "33.3 % agreement: 2 of 3 decisions differ, in the last 60d.",
    );
    expect(await get("/models/plain")).not.toContain("Shadow policy");
    const [first] = await listDecisions("bold");
    expect(await get(`/decisions/${first?.["id"] as number}`)).toContain(
      "The shadow policy says trigger: drift in ks (0.1, threshold 0.05). Nothing followed from it.",
    );
    const remote = await runScript("src/cli.ts", ["shadow", "report"], { RETRIGGER_URL: url });
    expect(remote).toMatchObject({ code: 0 });
    expect(remote.stdout).toContain("bold: 33.3 % agreement");
    const typo = await runScript("src/cli.ts", ["shadow", "report", "-m", "bolt"], { RETRIGGER_URL: url });
    expect(typo.code).toBe(1);
    expect(typo.stderr).toContain("known models: plain, shy, bold");
  });
});
