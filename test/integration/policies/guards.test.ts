import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  addCheckOf,
  addRowsOf,
  createPolicyWorld,
  listDecisions,
  type Models,
  type PolicyWorld,
} from "../../support/policies.ts";
import { until } from "../../support/world.ts";

const onAlert = (guards: object) => ({ policy: { when: { driftAlerts: 1 }, guards } });

/** The hours of the day, in UTC, from a minute ago to the next full minute that is far enough to be noticed. */
function hoursAroundNow(): { hours: string; end: number } {
  const now = Date.now();
  const end = Math.ceil((now + 15_000) / 60_000) * 60_000;
  const clock = (at: number): string => new Date(at).toISOString().slice(11, 16);
  return { hours: `${clock(now - 60_000)}-${clock(end)}`, end };
}

const MODELS: Models = {
  cooldown: onAlert({ cooldown: "5s" }),
  cooldownOfSuccess: onAlert({ cooldown: { for: "5s", since: "success" } }),
  budget: onAlert({ budget: { atMost: 2, per: "1m" } }),
  dataQuality: onAlert({ dataQuality: { veto: ["null_rate"] } }),
  vetoFades: onAlert({ dataQuality: { veto: ["null_rate"], within: "1m" } }),
  maxAge: { policy: { when: { maxAge: "1m" } } },
  waitingCost: { policy: { when: { waitingCost: { hourWorth: 0.5, assume: "1h" } } } },
  actedOn: { policy: { when: { any: [{ driftAlerts: 1 }, { maxAge: "60d" }] } } },
};

let world: PolicyWorld;
let quiet: ReturnType<typeof hoursAroundNow>;
beforeAll(async () => {
  world = await createPolicyWorld(MODELS);
  quiet = hoursAroundNow();
  const quietHours = onAlert({ quietHours: { hours: quiet.hours } });
  await world.startApp(await world.describe({ ...MODELS, quietHours }));
});
afterAll(() => world.close());

const decide = (model: string) => world.decide({ model });
const alert = (model: string, check: Parameters<typeof addCheckOf>[2] = {}) =>
  addCheckOf(world, model, check);

/** Expects that a decision is held back by this guard until an instant, and says so in the row and the report. */
async function expectHeld(model: string, reason: string) {
  const { decision, nextLookAt, ...summary } = await decide(model);
  expect({ model, decision, reason: summary.reason }).toEqual({ model, decision: "no_action", reason });
  const row = (await listDecisions(world, model)).at(-1);
  expect(row).toMatchObject({ reason_codes: reason.split(","), explanation: summary.explanation });
  expect(row?.next_look_at?.toISOString()).toBe(nextLookAt);
  expect(summary.report).toContain(summary.explanation?.nearestFlips[0]?.text);
  return Date.parse(nextLookAt ?? "");
}

/** Waits until a follow-up triggers by itself, not before `end`, and returns its reason. */
async function untilTriggered(model: string, end: number, limitMs = 30_000) {
  const row = await until(
    `${model} is retrained by itself`,
    async () => {
      const last = (await listDecisions(world, model)).at(-1);
      return last?.decision === "trigger_mock" && last.cause === "followup" ? last : null;
    },
    limitMs,
  );
  expect(row.takenAt).toBeGreaterThanOrEqual(end);
  return row.reason;
}

describe.concurrent("a guard that ends with time", { timeout: 60_000 }, () => {
  it.each(["cooldown", "cooldownOfSuccess"])("%s: decides by itself within seconds", async (model) => {
    await alert(model);
    expect((await decide(model)).decision).toBe("trigger_mock");
    await alert(model);
    const end = await expectHeld(model, "cooldown");
    expect(await untilTriggered(model, end)).toBe("drift_detected");
    const rows = await listDecisions(world, model);
    expect(rows.map(({ reason }) => reason)).toEqual(["drift_detected", "cooldown", "drift_detected"]);
  });

  it("budget: there is room again when a training leaves the period", async () => {
    for (let training = 0; training < 2; training += 1) {
      await alert("budget");
      expect((await decide("budget")).decision).toBe("trigger_mock");
    }
    // As if 50 seconds had passed since the first of them.
    await world.sql(
      `UPDATE retraining_dispatches SET created_at = created_at - interval '50 s'
       WHERE id = (SELECT min(id) FROM retraining_dispatches WHERE model_name = 'budget')`,
    );
    await alert("budget");
    const end = await expectHeld("budget", "budget_spent");
    expect(await untilTriggered("budget", end)).toBe("drift_detected");
  });

  it("quietHours: decides by itself when they end", { timeout: 150_000 }, async () => {
    await alert("quietHours");
    expect(await expectHeld("quietHours", "quiet_hours")).toBe(quiet.end);
    expect(await untilTriggered("quietHours", quiet.end, 120_000)).toBe("drift_detected");
  });

  it("dataQuality: the next good check lifts the veto", async () => {
    await alert("dataQuality");
    await alert("dataQuality", { age: "10 minutes", feature: "null_rate" });
    await expectHeld("dataQuality", "data_quality");
    await alert("dataQuality", { age: "5 minutes", feature: "null_rate", fired: false });
    expect(await decide("dataQuality")).toMatchObject({ decision: "trigger_mock", reason: "drift_detected" });
  });

  it("dataQuality: a veto that grows too old ends by itself", async () => {
    await alert("vetoFades");
    await alert("vetoFades", { age: "55 s", feature: "null_rate" });
    const end = await expectHeld("vetoFades", "data_quality");
    expect(await untilTriggered("vetoFades", end)).toBe("drift_detected");
  });

  it("alreadyActedOn: matters only if alerts carried the trigger", async () => {
    await alert("actedOn");
    expect(await decide("actedOn")).toMatchObject({ reason: "drift_detected" });
    expect(await decide("actedOn")).toMatchObject({ decision: "no_action", reason: "already_acted_on" });
    await world.sql(
      `UPDATE retraining_dispatches SET created_at = created_at - interval '60 days' WHERE model_name = 'actedOn'`,
    );
    expect(await decide("actedOn")).toMatchObject({ decision: "trigger_mock", reason: "max_age" });
  });
});

describe.concurrent("a criterion that is met with time", { timeout: 60_000 }, () => {
  it("maxAge: the model is retrained by itself", async () => {
    await decide("maxAge");
    await world.sql(
      `UPDATE retraining_decisions SET taken_at = taken_at - interval '55 s',
       decision_date = decision_date - interval '55 s' WHERE model = 'maxAge'`,
    );
    const end = await expectHeld("maxAge", "max_age_not_reached");
    expect(await untilTriggered("maxAge", end)).toBe("max_age");
  });

  it("waitingCost: the model is retrained by itself", async () => {
    await addRowsOf(world, "waitingCost", 8_640);
    const end = await expectHeld("waitingCost", "waiting_cost_too_low");
    expect(await untilTriggered("waitingCost", end)).toBe("waiting_cost");
  });
});
