import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { INBOX_JOBS } from "../../../queues/names.ts";
import { DecisionSummary } from "../../../src/core/report/decision-summary.ts";
import { addCheckOf, createPolicyWorld, listDecisions, type PolicyWorld } from "../../support/policies.ts";
import { holdTable, IN_THIS_DATABASE, until, withQueue } from "../../support/world.ts";

const onAlert = (guards: object = {}) => ({ policy: { when: { driftAlerts: 1 }, guards } });
const program = (script: string) => ({ trainer: { command: { command: ["/bin/sh", "-c", script] } } });
const today = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];
// Every day but one that is far enough away.
const otherDays = today.filter((_, day) => day !== (new Date().getUTCDay() + 3) % 7);
const FORCE = ["--force", "--by", "Ada", "--reason", "the demo is today"];

/** One model for each guard. */
const MODELS = {
  snoozed: onAlert(),
  already_acted_on: onAlert(),
  cooldown: onAlert({ alreadyActedOn: "off", cooldown: "7d" }),
  budget_spent: onAlert({ alreadyActedOn: "off", budget: { atMost: 1, per: "30d" } }),
  total_budget_spent: onAlert({ alreadyActedOn: "off", totalBudget: { atMost: 1, per: "30d" } }),
  quiet_hours: onAlert({ quietHours: { days: otherDays } }),
  data_quality: onAlert({ dataQuality: { veto: ["ks"] } }),
  awaiting_approval: onAlert({ approval: "24h" }),
  training_in_flight: { ...onAlert({ alreadyActedOn: "off" }), ...program("sleep 3") },
  retry_backoff: { ...onAlert(), ...program("exit 1") },
  criteria: onAlert({ cooldown: "7d" }),
  folded: onAlert({ cooldown: "7d" }),
  once: onAlert({ cooldown: "7d" }),
};
type Model = keyof typeof MODELS;

let world: PolicyWorld;
beforeAll(async () => {
  world = await createPolicyWorld(MODELS);
  await world.startApp();
});
afterAll(() => world.close());

const isTrigger = (decision: string) => decision.startsWith("trigger");

/** Waits until a model's run acts, and every act under way waits for a table: so does this model's. */
async function untilActWaits(model: Model): Promise<void> {
  await withQueue(world, "act", (act) =>
    until(`the run of ${model} waits to record its decision`, async () => {
      const active = await act.getJobs(["active"]);
      const waiting = await world.sql(
        `SELECT FROM pg_locks WHERE NOT granted AND relation = 'retraining_decisions'::regclass AND ${IN_THIS_DATABASE}`,
      );
      const isActive = active.some(({ data }) => (data as { model: string }).model === model);
      return isActive && waiting.length >= active.length;
    }),
  );
}

async function decideForced(model: Model): Promise<DecisionSummary> {
  const { stdout } = await world.run("decide", "--model", model, "--json", ...FORCE);
  return DecisionSummary.parse(JSON.parse(stdout));
}

/** Brings a model with an alert into the state in which only its guard objects. */
const PREPARATIONS: Partial<Record<Model, () => Promise<unknown>>> = {
  snoozed: () => world.run("snooze", "snoozed", "--for", "3d", "--by", "Bob", "--reason", "a holiday"),
  ...Object.fromEntries(
    ["already_acted_on", "cooldown", "budget_spent", "total_budget_spent", "training_in_flight"].map(
      (model) => [model, () => world.decide({ model })],
    ),
  ),
  async retry_backoff() {
    const { runId } = await world.decide({ model: "retry_backoff" });
    await world.client.waitForTraining(runId, { limitMs: 20_000 });
    await until("a decision has seen the failure", async () => {
      const rows = await listDecisions(world, "retry_backoff");
      return rows.at(-1)?.reason === "retry_backoff";
    });
  },
};

const GUARDS = Object.keys(MODELS).filter(
  (model) => !["criteria", "folded", "once"].includes(model),
) as Model[];

describe("a forced decision", { timeout: 60_000 }, () => {
  it.each(GUARDS)("passes the guard %s, and is recorded as forced", async (model) => {
    await addCheckOf(world, model);
    await PREPARATIONS[model]?.();
    expect(await world.decide({ model })).toMatchObject({ decision: "no_action", reason: model });
    const summary = await decideForced(model);
    const forced = { by: "Ada", reason: "the demo is today" };
    expect(summary).toMatchObject({ reason: "drift_detected", forced });
    expect(isTrigger(summary.decision)).toBe(true);
    expect(["sent", "running", "succeeded", "failed"]).toContain(summary.dispatch?.state);
    expect(summary.report).toContain("DECISION: TRIGGER RETRAINING (FORCED BY Ada)");
    expect(summary.report).toContain("Forced by Ada: the demo is today");
    expect(summary.guards.filter(({ overridden }) => overridden).length).toBeGreaterThan(0);
    const rows = await listDecisions(world, model);
    expect(rows.find(({ id }) => id === summary.decisionId)).toMatchObject({ forced, cause: "manual" });
    expect(rows.filter((row) => row.forced !== null)).toHaveLength(1);
  });

  it("never passes a criterion, and uses its override up", async () => {
    const summary = await decideForced("criteria");
    expect(summary).toMatchObject({
      decision: "no_action",
      reason: "no_drift_alerts",
      forced: { by: "Ada" },
    });
    await addCheckOf(world, "criteria");
    expect(await world.decide({ model: "criteria" })).toMatchObject({
      reason: "drift_detected",
      forced: null,
    });
  });

  it("is forced once", async () => {
    await addCheckOf(world, "once");
    await world.decide({ model: "once" });
    await addCheckOf(world, "once");
    expect((await decideForced("once")).decision).toBe("trigger_mock");
    await addCheckOf(world, "once");
    expect(await world.decide({ model: "once" })).toMatchObject({ reason: "cooldown", forced: null });
    const open = await world.sql("SELECT FROM retraining_overrides WHERE decision_id IS NULL");
    expect(open).toEqual([]);
  });

  it("is forced also if it folds into the follow-up of a run under way", async () => {
    await addCheckOf(world, "folded");
    await world.decide({ model: "folded" });
    await addCheckOf(world, "folded");
    // Its evidence is read by then: a gather that waits for a table takes its snapshot only after it has the lock.
    const hold = await holdTable(world, "retraining_decisions", "SHARE");
    const first = await world.client.send(INBOX_JOBS.event, { runId: "slow", model: "folded" });
    await untilActWaits("folded");
    const forcing = decideForced("folded");
    await until("the override is recorded", async () => {
      const rows = await world.sql("SELECT FROM retraining_overrides WHERE model = 'folded'");
      return rows.length > 0;
    });
    await until("the request has folded", async () => {
      const jobs = await world.client.inbox.getJobs(["delayed"]);
      return jobs.some(
        ({ name, data }) => name === INBOX_JOBS.followup && (data as { model: string }).model === "folded",
      );
    });
    await hold.release();
    expect(await world.client.waitForDecision(first, { limitMs: 25_000 })).toMatchObject({
      reason: "cooldown",
    });
    expect(await forcing).toMatchObject({ decision: "trigger_mock", forced: { by: "Ada" } });
  });

  it("is refused without a name and a reason, and by options that mean nothing without it", async () => {
    const together = "--force, --by and --reason go together: who forces the decision, and why";
    for (const options of [
      ["--force"],
      ["--force", "--by", "Ada"],
      ["--force", "--reason", "x"],
      ["--by", "Ada"],
    ])
      expect((await world.run("decide", "--model", "once", ...options)).failure, options.join(" ")).toBe(
        together,
      );
    expect((await world.run("decide", "--model", "once", "--dry-run", "--force")).failure).toBe(together);
  });

  it("can be tried as a dry run, which records nothing", async () => {
    await addCheckOf(world, "once");
    const { stdout } = await world.run("decide", "--model", "once", "--dry-run", "--json", ...FORCE);
    expect(JSON.parse(stdout)).toMatchObject({
      decision: "trigger_mock",
      decisionId: null,
      forced: { by: "Ada" },
    });
    expect((await world.decide({ model: "once" })).reason).toBe("cooldown");
  });
});
