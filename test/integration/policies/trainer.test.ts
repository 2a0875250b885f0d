import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  addCheckOf,
  addRowsOf,
  createPolicyWorld,
  emptyRedis,
  listDecisions,
  type PolicyWorld,
} from "../../support/policies.ts";
import { type Receiver, startReceiver } from "../../support/receiver.ts";
import { until } from "../../support/world.ts";

const program = (script: string) => ({
  command: { command: ["/bin/sh", "-c", script, "{model}", "{reason}"] },
});

let world: PolicyWorld;
let receiver: Receiver;
beforeAll(async () => {
  receiver = await startReceiver();
  const grown = { when: { bufferGrowth: 10 } };
  const webhook = { webhook: { url: `${receiver.url}/train`, outcome: "accepted" } };
  // Fails if it gets another reason.
  const echo = program('test "$1" = max_age');
  world = await createPolicyWorld(
    {
      webhook: { policy: grown, trainer: webhook },
      command: { policy: { when: { maxAge: "60d" } }, trainer: echo },
      failing: {
        policy: { when: { maxAge: "60d" }, guards: { retryBackoff: "5s" } },
        trainer: program("exit 1"),
      },
      again: { policy: { when: { maxAge: "1m" } }, trainer: program("exit 0") },
      growing: { policy: grown, trainer: program("exit 0") },
      drifting: {
        policy: { when: { any: [{ driftAlerts: 1 }, { maxAge: "60d" }] }, guards: { retryBackoff: "1h" } },
        trainer: program("exit 1"),
      },
    },
    { TRAINER_SECRET: "a secret of both sides" },
  );
  await world.startApp();
});
afterAll(async () => {
  await world.close();
  await receiver.close();
});

const ageBy = (model: string, age: string) =>
  world.sql(
    `UPDATE retraining_decisions SET taken_at = taken_at - $2::interval, decision_date = decision_date - $2::interval
     WHERE model = $1`,
    [model, age],
  );

const untilEnded = (model: string, state: string) =>
  until(`a training of ${model} has ${state}`, async () =>
    (await listDecisions(world, model)).find((row) => row.state === state),
  );

describe("the trainer's input reason", { timeout: 60_000 }, () => {
  it("is the decision's reason, for a webhook", async () => {
    await addRowsOf(world, "webhook", 10);
    expect(await world.decide({ model: "webhook" })).toMatchObject({
      decision: "trigger",
      reason: "buffer_growth",
    });
    expect(JSON.parse(receiver.received[0]?.body ?? "")).toMatchObject({
      data: { reason: "buffer_growth" },
    });
  });

  it("is the decision's reason, for a command", async () => {
    await world.decide({ model: "command" });
    await ageBy("command", "60 days");
    expect(await world.decide({ model: "command" })).toMatchObject({
      decision: "trigger",
      reason: "max_age",
    });
    await untilEnded("command", "succeeded");
  });
});

describe("a failed training of a trigger that no alert carried", { timeout: 60_000 }, () => {
  it(
    "is held back by its backoff, which grows, and then tried again by itself",
    { timeout: 60_000 },
    async () => {
      await world.decide({ model: "failing" });
      await ageBy("failing", "60 days");
      expect((await world.decide({ model: "failing" })).reason).toBe("max_age");
      await until(
        "it is tried a third time",
        async () => {
          const rows = await listDecisions(world, "failing");
          return rows.filter(({ reason }) => reason === "max_age").length === 3;
        },
        50_000,
      );
      const rows = await listDecisions(world, "failing");
      expect(rows.slice(1, 6).map(({ reason }) => reason)).toEqual([
        "max_age",
        "retry_backoff",
        "max_age",
        "retry_backoff",
        "max_age",
      ]);
      const [, first, , second, , third] = rows.map(({ takenAt }) => takenAt);
      expect((second ?? 0) - (first ?? 0)).toBeGreaterThanOrEqual(5_000);
      expect((third ?? 0) - (second ?? 0)).toBeGreaterThanOrEqual(10_000);
    },
  );

  it("whose first cause was an alert is held back as well, without another decision", async () => {
    await addCheckOf(world, "drifting");
    expect((await world.decide({ model: "drifting" })).reason).toBe("drift_detected");
    await untilEnded("drifting", "failed");
    await until("its failure was seen", async () => (await listDecisions(world, "drifting")).length === 2);
    await ageBy("drifting", "60 days");
    expect((await world.decide({ model: "drifting" })).reason).toBe("retry_backoff");
    expect(await listDecisions(world, "drifting")).toHaveLength(3);
  });
});

describe("a model that is retrained for its age alone", { timeout: 60_000 }, () => {
  it("is retrained again by itself when it has grown old again", async () => {
    await world.decide({ model: "again" });
    await ageBy("again", "60 s");
    const trigger = await world.decide({ model: "again" });
    expect(trigger.reason).toBe("max_age");
    await untilEnded("again", "succeeded");
    const [, row] = await listDecisions(world, "again");
    expect(row?.next_look_at?.getTime()).toBe(Math.floor(row?.takenAt ?? 0) + 60_000);
    // As if most of that time had passed; from the row, Redis gets its follow-up again.
    await world.sql(
      "UPDATE retraining_decisions SET next_look_at = next_look_at - interval '50 s' WHERE model = 'again'",
    );
    await world.sql(
      "UPDATE retraining_dispatches SET ended_at = ended_at - interval '55 s' WHERE model_name = 'again'",
    );
    await emptyRedis(world);
    await until("it is retrained again", async () => {
      const rows = await listDecisions(world, "again");
      return rows.length === 3 && rows[2]?.reason === "max_age";
    });
  });
});
