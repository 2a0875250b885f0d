import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { INBOX_JOBS } from "../../../queues/names.ts";
import {
  addCheckOf,
  createPolicyWorld,
  emptyRedis,
  listDecisions,
  type Models,
  type PolicyWorld,
} from "../../support/policies.ts";
import { holdTable, until, withQueue } from "../../support/world.ts";

const onAlert = (guards: object = {}) => ({ policy: { when: { driftAlerts: 1 }, guards } });
const BY = ["--by", "Ada", "--reason", "a test"];

const MODELS: Models = {
  snoozed: onAlert(),
  unsnoozed: onAlert(),
  forgotten: onAlert(),
  snoozedAgain: onAlert(),
  followed: { policy: { when: { driftAlerts: 2 } } },
};

let world: PolicyWorld;
beforeAll(async () => {
  world = await createPolicyWorld(MODELS);
  await world.startApp();
});
afterAll(() => world.close());

const reasonsOf = async (model: string) => (await listDecisions(world, model)).map(({ reason }) => reason);

/** Waits until a decision with this reason is the model's latest, and returns it. */
const untilLatest = (model: string, reason: string, limitMs = 30_000) =>
  until(
    `the latest decision about ${model} is ${reason}`,
    async () => {
      const last = (await listDecisions(world, model)).at(-1);
      return last?.reason === reason ? last : null;
    },
    limitMs,
  );

describe("a snooze", { timeout: 60_000 }, () => {
  it("needs an end, a reason and a name, and a model that exists", async () => {
    const refused = async (...args: string[]) => (await world.run("snooze", ...args)).failure;
    expect(await refused("snoozed", ...BY)).toContain("--for");
    expect(await refused("snoozed", "--for", "3d", "--by", "Ada")).toContain("--reason");
    expect(await refused("snoozed", "--for", "3d", "--reason", "x")).toContain("--by");
    expect(await refused("snoozed", "--for", "soon", ...BY)).toContain("3d, 12h or 30m");
    expect(await refused("snozed", "--for", "3d", ...BY)).toContain("snozed");
    expect(await world.sql("SELECT FROM retraining_snoozes")).toEqual([]);
  });

  it("holds the model back, and at its end the model is re-evaluated by itself", async () => {
    const { stdout, failure } = await world.run("snooze", "snoozed", "--for", "6s", ...BY);
    expect(failure).toBeNull();
    expect(stdout).toContain("npx retrigger unsnooze snoozed");
    await addCheckOf(world, "snoozed");
    const { reason, report, nextLookAt } = await world.decide({ model: "snoozed" });
    expect(reason).toBe("snoozed");
    expect(report).toContain(`Snoozed: by Ada until`);
    expect(report).toContain("(a test)");
    const decision = await untilLatest("snoozed", "drift_detected");
    expect(decision.cause).toBe("followup");
    expect(decision.takenAt).toBeGreaterThanOrEqual(Date.parse(nextLookAt ?? ""));
  });

  it("that is ended early re-evaluates the model at once", async () => {
    await world.run("snooze", "unsnoozed", "--for", "3d", ...BY);
    await addCheckOf(world, "unsnoozed");
    expect((await world.decide({ model: "unsnoozed" })).reason).toBe("snoozed");
    const { stdout } = await world.run("unsnooze", "unsnoozed", "--by", "Bob");
    expect(stdout).toBe("unsnoozed is no longer snoozed, and is re-evaluated.");
    await untilLatest("unsnoozed", "drift_detected");
    expect((await world.run("unsnooze", "unsnoozed")).failure).toBe("unsnoozed is not snoozed");
    expect(await world.sql("SELECT ended_by FROM retraining_snoozes WHERE model = 'unsnoozed'")).toEqual([
      { ended_by: "Bob" },
    ]);
  });

  it("is replaced by a shorter one", async () => {
    await world.run("snooze", "snoozedAgain", "--for", "3d", ...BY);
    await addCheckOf(world, "snoozedAgain");
    expect((await world.decide({ model: "snoozedAgain" })).reason).toBe("snoozed");
    await world.run("snooze", "snoozedAgain", "--for", "4s", ...BY);
    await untilLatest("snoozedAgain", "drift_detected");
  });

  it("ends on time, although a follow-up into which an event was folded decided last", async () => {
    const { stdout } = await world.run("snooze", "followed", "--for", "12s", ...BY);
    const endsAt = Date.parse(/until (.+ UTC)\./.exec(stdout)?.[1] ?? "");
    await untilLatest("followed", "no_drift_alerts,snoozed");
    const hold = await holdTable(world, "monitoring.arrivals");
    await world.client.send(INBOX_JOBS.event, { runId: "first", model: "followed" });
    await hold.untilSessionWaits();
    await world.client.send(INBOX_JOBS.event, { runId: "second", model: "followed" });
    await hold.release();
    const { id } = await until("the follow-up has decided", async () => {
      const last = (await listDecisions(world, "followed")).at(-1);
      return last?.cause === "followup" ? last : null;
    });
    const look = await until("its next look is scheduled", () =>
      world.client.inbox.getJob(`next-look-followed-${id}`),
    );
    expect(look.timestamp + look.delay).toBeLessThan(endsAt + 2_000);
  });

  it("survives FLUSHALL and a restart, and then ends by itself", async () => {
    await addCheckOf(world, "forgotten");
    await world.run("snooze", "forgotten", "--for", "20s", ...BY);
    const held = await untilLatest("forgotten", "snoozed");
    await world.stopApps();
    await emptyRedis(world);
    await world.startApp();
    const restored = await withQueue(world, "drift_monitoring", (inbox) => inbox.getDelayed());
    expect(restored.filter(({ id }) => id?.startsWith("next-look-forgotten-"))).toHaveLength(1);
    expect((await world.decide({ model: "forgotten" })).reason).toBe("snoozed");
    await emptyRedis(world);
    const decision = await untilLatest("forgotten", "drift_detected", 45_000);
    expect(decision.takenAt).toBeGreaterThanOrEqual(held.next_look_at?.getTime() ?? Infinity);
    expect(await reasonsOf("forgotten")).toEqual(["snoozed", "snoozed", "drift_detected"]);
  });
});
