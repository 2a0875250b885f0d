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

/** Decides, expects that nothing is triggered, with this flip among the nearest, and returns the reason. */
async function reasonHeld(model: string, flip: string | RegExp): Promise<string> {
  const { decision, reason, ...summary } = await decide(model);
  expect(decision).toBe("no_action");
  const row = (await listDecisions(world, model)).at(-1);
  const { explanation } = summary;
  expect(row).toMatchObject({ decision, reason, reason_codes: reason.split(","), explanation });
  const texts = explanation?.nearestFlips.map(({ text }) => text) ?? [];
  expect(texts.join("; ")).toMatch(flip);
  expect(summary.report).toContain(texts[0]);
  return reason;
}

/** Decides, expects a trigger, and returns its reason, which is also the input of the trainer. */
async function reasonTriggered(model: string): Promise<string> {
  const { decision, dispatch, reason } = await decide(model);
  expect(decision).toBe("trigger_mock");
  expect((await listDecisions(world, model)).at(-1)).toMatchObject({
    reason,
    reason_codes: [reason],
    state: "sent",
  });
  expect(JSON.stringify(dispatch?.request)).toContain(`"${reason}"`);
  return reason;
}

/** Moves the first decision about a model into the past, since which its age counts until a training has succeeded. */
const ageBy = (model: string, age: string) =>
  world.sql(
    `UPDATE retraining_decisions SET taken_at = taken_at - $2::interval, decision_date = decision_date - $2::interval
     WHERE model = $1`,
    [model, age],
  );

describe("each criterion, through the queue", { timeout: 60_000 }, () => {
  it("recentDriftChecks", async () => {
    expect(await reasonHeld("recentDriftChecks", /an alert|alert/)).toBe(
      "no_recent_drift_checks,no_drift_alerts",
    );
    await alert("recentDriftChecks");
    expect(await reasonTriggered("recentDriftChecks")).toBe("drift_detected");
  });

  it("driftAlerts", async () => {
    await alert("driftAlerts");
    await alert("driftAlerts", { age: "3 days" });
    expect(await reasonHeld("driftAlerts", /1 more alert/)).toBe("no_drift_alerts");
    await alert("driftAlerts");
    expect(await reasonTriggered("driftAlerts")).toBe("drift_detected");
  });

  it("features", async () => {
    await alert("features");
    await alert("features");
    await alert("features", { feature: "null_rate" });
    expect(await reasonHeld("features", /an alert on mean/)).toBe("too_few_features");
    await alert("features", { feature: "std" });
    expect(await reasonTriggered("features")).toBe("drift_detected");
  });

  it("consecutiveRuns", async () => {
    await alert("consecutiveRuns", { age: "1 hour" });
    await alert("consecutiveRuns", { age: "1 hour 10 s", feature: "mean" });
    await alert("consecutiveRuns", { age: "2 hours", fired: false });
    expect(await reasonHeld("consecutiveRuns", /1 more drift run/)).toBe("too_few_consecutive_runs");
    await alert("consecutiveRuns", { age: "0 s" });
    expect(await reasonTriggered("consecutiveRuns")).toBe("drift_detected");
  });

  it("severity", async () => {
    await alert("severity", { score: 0.09 });
    expect(await reasonHeld("severity", /2 times/)).toBe("severity_too_low");
    await alert("severity", { score: 0.1, fired: false });
    expect(await reasonTriggered("severity")).toBe("drift_detected");
  });

  it("quantile", async () => {
    for (let age = 10; age > 0; age -= 1)
      await alert("quantile", { age: `${age + 1} hours`, score: 0.01, fired: false });
    expect(await reasonHeld("quantile", /score/)).toBe("no_unusual_score");
    await alert("quantile", { score: 0.5, fired: false });
    expect(await reasonTriggered("quantile")).toBe("drift_detected");
  });

  it("cusum", async () => {
    await alert("cusum", { age: "2 hours", score: 3, threshold: 1, fired: false });
    expect(await reasonHeld("cusum", /times its threshold/)).toBe("cusum_too_low");
    await alert("cusum", { score: 3, threshold: 1, fired: false });
    expect(await reasonTriggered("cusum")).toBe("drift_detected");
  });

  it("sampleFloor", async () => {
    await alert("sampleFloor", { samples: 3 });
    expect(await reasonHeld("sampleFloor", /samples|alert/)).toBe("too_few_samples,no_drift_alerts");
    const [row] = await listDecisions(world, "sampleFloor");
    expect(JSON.stringify(row?.explanation)).toContain("1 check(s) on fewer than 200 samples");
    await alert("sampleFloor", { samples: 200 });
    expect(await reasonTriggered("sampleFloor")).toBe("drift_detected");
  });

  it("maxAge", async () => {
    expect(await reasonHeld("maxAge", /max age is reached 20\d\d-.* UTC/)).toBe("max_age_not_reached");
    await ageBy("maxAge", "59 days 23 hours");
    expect(await reasonHeld("maxAge", /max age is reached 20\d\d-.* UTC/)).toBe("max_age_not_reached");
    await ageBy("maxAge", "1 hour");
    expect(await reasonTriggered("maxAge")).toBe("max_age");
    expect(await reasonHeld("maxAge", /max age is reached 20\d\d-.* UTC/)).toBe("max_age_not_reached");
  });

  it("bufferSize", async () => {
    await addRowsOf(world, "bufferSize", 99);
    expect(await reasonHeld("bufferSize", "1 more event")).toBe("insufficient_buffer");
    await addRowsOf(world, "bufferSize", 1);
    expect(await reasonTriggered("bufferSize")).toBe("buffer_full");
  });

  it("bufferGrowth", async () => {
    await addRowsOf(world, "bufferGrowth", 49);
    expect(await reasonHeld("bufferGrowth", /1 more event/)).toBe("insufficient_growth");
    await addRowsOf(world, "bufferGrowth", 1);
    expect(await reasonTriggered("bufferGrowth")).toBe("buffer_growth");
    // The table only grows, but what the training has seen is not new any more.
    await addRowsOf(world, "bufferGrowth", 49);
    expect(await reasonHeld("bufferGrowth", /1 more event/)).toBe("insufficient_growth");
    await addRowsOf(world, "bufferGrowth", 1);
    expect(await reasonTriggered("bufferGrowth")).toBe("buffer_growth");
  });

  it("waitingCost", async () => {
    await addRowsOf(world, "waitingCost", 1, "19 days");
    expect(await reasonHeld("waitingCost", /waiting cost is reached 20.* UTC/)).toBe("waiting_cost_too_low");
    await addRowsOf(world, "waitingCost", 1, "1 day");
    expect(await reasonTriggered("waitingCost")).toBe("waiting_cost");
  });

  it("any: names what carried it, and alerts that were answered matter only if alerts carried it", async () => {
    await alert("any");
    expect(await reasonTriggered("any")).toBe("drift_detected");
    expect(await reasonHeld("any", /alert/)).toBe("already_acted_on");
    // Since the training, a long time has passed; the alert is still in its window, and still answered.
    await world.sql(
      "UPDATE retraining_dispatches SET asked_at = now() - interval '60 days', created_at = now() - interval '60 days' WHERE model_name = 'any'",
    );
    expect(await reasonTriggered("any")).toBe("max_age");
  });

  it("atLeast", async () => {
    await alert("atLeast");
    expect(await reasonHeld("atLeast", /10 more events/)).toBe("insufficient_buffer,max_age_not_reached");
    await addRowsOf(world, "atLeast", 10);
    expect(await reasonTriggered("atLeast")).toBe("drift_detected");
  });
});
