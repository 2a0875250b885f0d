import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  addCheckOf,
  addRowsOf,
  createPolicyWorld,
  listDecisions,
  type Models,
  type PolicyWorld,
} from "../../support/policies.ts";

const when = (condition: object) => ({ policy: { when: condition } });

/** One model for each criterion, named as its key, and for combinations of them. */
const MODELS: Models = {
  recentDriftChecks: when([{ recentDriftChecks: "7d" }, { driftAlerts: { atLeast: 1, within: "7d" } }]),
  driftAlerts: when({ driftAlerts: { atLeast: 2, within: "2d" } }),
  features: when({ features: { atLeast: 2, of: ["ks", "mean", "std"] } }),
  consecutiveRuns: when({ consecutiveRuns: { atLeast: 2, within: "7d" } }),
  severity: when({ severity: { worst: 2 } }),
  quantile: when({ quantile: { q: 0.05, last: 5 } }),
  cusum: when({ cusum: { atLeast: 3 } }),
  sampleFloor: when([{ sampleFloor: 200 }, { driftAlerts: 1 }]),
  maxAge: when({ maxAge: "60d" }),
  bufferSize: when({ bufferSize: 100 }),
  bufferGrowth: when({ bufferGrowth: 50 }),
  waitingCost: when({ waitingCost: { hourWorth: 20, assume: "1h" } }),
  any: when({ any: [{ driftAlerts: 1 }, { maxAge: "60d" }] }),
  atLeast: when({ atLeast: 2, of: [{ driftAlerts: 1 }, { bufferSize: 10 }, { maxAge: "60d" }] }),
};

let world: PolicyWorld;
beforeAll(async () => {
  world = await createPolicyWorld(MODELS);
  await world.startApp();
});
afterAll(() => world.close());

const decide = (model: string) => world.decide({ model });
const alert = (model: string, check: Parameters<typeof addCheckOf>[2] = {}) =>
  addCheckOf(world, model, check);

/** Expects a decision that holds with this reason, in the row and the summary, with this flip among the nearest. */
async function expectHeld(model: string, reason: string, flip: string | RegExp) {
  const { decision, ...summary } = await decide(model);
  expect({ model, decision, reason: summary.reason }).toEqual({ model, decision: "no_action", reason });
  const row = (await listDecisions(world, model)).at(-1);
  expect(row).toMatchObject({
    decision: "no_action",
    reason,
    reason_codes: reason.split(","),
    explanation: summary.explanation,
  });
  const texts = summary.explanation?.nearestFlips.map(({ text }) => text) ?? [];
  expect(texts.join("; ")).toMatch(flip);
  expect(summary.report).toContain(texts[0]);
}

/** Expects a trigger with this reason, also as the input of the trainer. */
async function expectTriggered(model: string, reason: string) {
  const { decision, dispatch, ...summary } = await decide(model);
  expect({ model, decision, reason: summary.reason }).toEqual({ model, decision: "trigger_mock", reason });
  expect((await listDecisions(world, model)).at(-1)).toMatchObject({
    reason,
    reason_codes: [reason],
    state: "sent",
  });
  expect(JSON.stringify(dispatch?.request)).toContain(`"${reason}"`);
}

/** Moves the first decision about a model into the past, since which its age counts until a training has succeeded. */
const ageBy = (model: string, age: string) =>
  world.sql(
    `UPDATE retraining_decisions SET taken_at = taken_at - $2::interval, decision_date = decision_date - $2::interval
     WHERE model = $1`,
    [model, age],
  );

describe("each criterion, through the queue", () => {
  it("recentDriftChecks", async () => {
    await expectHeld("recentDriftChecks", "no_recent_drift_checks,no_drift_alerts", /an alert|alert/);
    await alert("recentDriftChecks");
    await expectTriggered("recentDriftChecks", "drift_detected");
  });

  it("driftAlerts", async () => {
    await alert("driftAlerts");
    await alert("driftAlerts", { age: "3 days" });
    await expectHeld("driftAlerts", "no_drift_alerts", /1 more alert/);
    await alert("driftAlerts");
    await expectTriggered("driftAlerts", "drift_detected");
  });

  it("features", async () => {
    await alert("features");
    await alert("features");
    await alert("features", { feature: "null_rate" });
    await expectHeld("features", "too_few_features", /an alert on mean/);
    await alert("features", { feature: "std" });
    await expectTriggered("features", "drift_detected");
  });

  it("consecutiveRuns", async () => {
    await alert("consecutiveRuns", { age: "1 hour" });
    await alert("consecutiveRuns", { age: "1 hour 10 s", feature: "mean" });
    await alert("consecutiveRuns", { age: "2 hours", fired: false });
    await expectHeld("consecutiveRuns", "too_few_consecutive_runs", /1 more drift run/);
    await alert("consecutiveRuns", { age: "0 s" });
    await expectTriggered("consecutiveRuns", "drift_detected");
  });

  it("severity", async () => {
    await alert("severity", { score: 0.09 });
    await expectHeld("severity", "severity_too_low", /2 times/);
    await alert("severity", { score: 0.1, fired: false });
    await expectTriggered("severity", "drift_detected");
  });

  it("quantile", async () => {
    for (let age = 10; age > 0; age -= 1)
      await alert("quantile", { age: `${age + 1} hours`, score: 0.01, fired: false });
    await expectHeld("quantile", "no_unusual_score", /score/);
    await alert("quantile", { score: 0.5, fired: false });
    await expectTriggered("quantile", "drift_detected");
  });

  it("cusum", async () => {
    await alert("cusum", { age: "2 hours", score: 3, threshold: 1, fired: false });
    await expectHeld("cusum", "cusum_too_low", /times its threshold/);
    await alert("cusum", { score: 3, threshold: 1, fired: false });
    await expectTriggered("cusum", "drift_detected");
  });

  it("sampleFloor", async () => {
    await alert("sampleFloor", { samples: 3 });
    await expectHeld("sampleFloor", "too_few_samples,no_drift_alerts", /samples|alert/);
    const [row] = await listDecisions(world, "sampleFloor");
    expect(JSON.stringify(row?.explanation)).toContain("1 check(s) on fewer than 200 samples");
    await alert("sampleFloor", { samples: 200 });
    await expectTriggered("sampleFloor", "drift_detected");
  });

  it("maxAge", async () => {
    await expectHeld("maxAge", "max_age_not_reached", /max age is reached 20\d\d-.* UTC/);
    await ageBy("maxAge", "59 days 23 hours");
    await expectHeld("maxAge", "max_age_not_reached", /max age is reached 20\d\d-.* UTC/);
    await ageBy("maxAge", "1 hour");
    await expectTriggered("maxAge", "max_age");
    await expectHeld("maxAge", "max_age_not_reached", /max age is reached 20\d\d-.* UTC/);
  });

  it("bufferSize", async () => {
    await addRowsOf(world, "bufferSize", 99);
    await expectHeld("bufferSize", "insufficient_buffer", "1 more event");
    await addRowsOf(world, "bufferSize", 1);
    await expectTriggered("bufferSize", "buffer_full");
  });

  it("bufferGrowth", async () => {
    await addRowsOf(world, "bufferGrowth", 49);
    await expectHeld("bufferGrowth", "insufficient_growth", /1 more event/);
    await addRowsOf(world, "bufferGrowth", 1);
    await expectTriggered("bufferGrowth", "buffer_growth");
    // The table only grows, but what the training has seen is not new any more.
    await addRowsOf(world, "bufferGrowth", 49);
    await expectHeld("bufferGrowth", "insufficient_growth", /1 more event/);
    await addRowsOf(world, "bufferGrowth", 1);
    await expectTriggered("bufferGrowth", "buffer_growth");
  });

  it("waitingCost", async () => {
    await addRowsOf(world, "waitingCost", 1, "19 days");
    await expectHeld("waitingCost", "waiting_cost_too_low", /waiting cost is reached 20.* UTC/);
    await addRowsOf(world, "waitingCost", 1, "1 day");
    await expectTriggered("waitingCost", "waiting_cost");
  });

  it("any: names what carried it, and alerts that were answered matter only if alerts carried it", async () => {
    await alert("any");
    await expectTriggered("any", "drift_detected");
    await expectHeld("any", "already_acted_on", /alert/);
    // Since the training, a long time has passed; the alert is still in its window, and still answered.
    await world.sql(
      "UPDATE retraining_dispatches SET asked_at = now() - interval '60 days', created_at = now() - interval '60 days' WHERE model_name = 'any'",
    );
    await expectTriggered("any", "max_age");
  });

  it("atLeast", async () => {
    await alert("atLeast");
    await expectHeld("atLeast", "insufficient_buffer,max_age_not_reached", /10 more events/);
    await addRowsOf(world, "atLeast", 10);
    await expectTriggered("atLeast", "drift_detected");
  });
});
