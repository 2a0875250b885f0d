import { afterEach, describe, expect, it } from "vitest";
import { INBOX_JOBS } from "../../../queues/names.ts";
import { addCheckOf, createPolicyWorld, listDecisions, type PolicyWorld } from "../../support/policies.ts";
import { until } from "../../support/world.ts";

const AT_MOST = 3;
const policy = {
  when: { driftAlerts: 1 },
  guards: { totalBudget: { atMost: AT_MOST, per: "1m" } },
};
const NAMES = Array.from({ length: 8 }, (_, index) => `model${index + 1}`);

let world: PolicyWorld;
afterEach(() => world.close());

const isTrigger = ({ decision }: { decision: string }) => decision === "trigger_mock";

async function latestOfAll() {
  const rows = await Promise.all(NAMES.map((model) => listDecisions(world, model)));
  return rows.flatMap((own) => own.at(-1) ?? []);
}

/** Has all models decide at the same time, each with an alert of its own, and returns what they decided. */
async function decideAtOnce(round: string) {
  await Promise.all(NAMES.map((model) => addCheckOf(world, model, { age: "1 minute" })));
  const jobs = await Promise.all(
    NAMES.map((model) => world.client.send(INBOX_JOBS.event, { runId: `${round}-${model}`, model })),
  );
  return Promise.all(jobs.map((job) => world.client.waitForDecision(job, { limitMs: 25_000 })));
}

/** Lets time pass for the trainings that were requested so far. */
const age = (by: string) =>
  world.sql("UPDATE retraining_dispatches SET created_at = created_at - $1::interval", [by]);

/** The most trainings that were requested within any period of the budget's length. */
async function findMost(): Promise<number> {
  const [row] = await world.sql<{ most: number }>(
    `SELECT max(count)::integer AS most FROM (SELECT count(*) FROM retraining_dispatches AS ending
     JOIN retraining_dispatches AS other ON other.created_at <= ending.created_at
       AND other.created_at > ending.created_at - interval '1 minute' GROUP BY ending.id) AS counts`,
  );
  return row?.most ?? 0;
}

describe("the budget of all models", { timeout: 60_000 }, () => {
  it("is never exceeded, however many decide at once", { timeout: 90_000 }, async () => {
    world = await createPolicyWorld(Object.fromEntries(NAMES.map((model) => [model, { policy }])));
    await world.startApp();
    await world.startApp();
    for (let round = 0; round < 4; round += 1) {
      const decisions = await decideAtOnce(`round${round}`);
      expect(decisions.filter(isTrigger)).toHaveLength(AT_MOST);
      const held = decisions.filter((decision) => !isTrigger(decision));
      expect(new Set(held.map(({ reason }) => reason))).toEqual(new Set(["total_budget_spent"]));
      expect(held.every(({ nextLookAt }) => nextLookAt !== null)).toBe(true);
      await age("61 s");
    }
    expect(await findMost()).toBe(AT_MOST);
  });

  it("re-evaluates the models that it held back when it frees", { timeout: 90_000 }, async () => {
    world = await createPolicyWorld(Object.fromEntries(NAMES.map((model) => [model, { policy }])));
    await world.startApp();
    await decideAtOnce("first");
    for (
      let triggers = AT_MOST;
      triggers < NAMES.length;
      triggers = Math.min(NAMES.length, triggers + AT_MOST)
    ) {
      await age("53 s");
      const held = (await latestOfAll()).filter((decision) => !isTrigger(decision));
      // Nothing but the next look of this decision re-evaluates the model.
      for (const model of NAMES)
        if (held.some((decision) => decision["model" as never] === model)) await world.decide({ model });
      await until("the budget is spent again", async () => {
        const count = (await latestOfAll()).filter(isTrigger).length;
        return count === Math.min(NAMES.length, triggers + AT_MOST);
      });
    }
    expect((await latestOfAll()).filter(isTrigger)).toHaveLength(NAMES.length);
    expect(await findMost()).toBe(AT_MOST);
  });

  it("counts the trainings of every trainer, but not what the mock only shows", async () => {
    const own = { when: { driftAlerts: 1 }, guards: { totalBudget: { atMost: 1, per: "1m" } } };
    const command = { command: { command: ["/bin/true"] } };
    world = await createPolicyWorld({
      shown: { policy: own },
      local: { policy: own, trainer: command },
      second: { policy: own, trainer: command },
      shownLater: { policy: own },
    });
    await world.startApp();
    for (const model of ["shown", "local", "second", "shownLater"]) await addCheckOf(world, model);
    expect(await world.decide({ model: "shown" })).toMatchObject({ decision: "trigger_mock" });
    expect(await world.decide({ model: "local" })).toMatchObject({ decision: "trigger" });
    expect(await world.decide({ model: "second" })).toMatchObject({ reason: "total_budget_spent" });
    expect(await world.decide({ model: "shownLater" })).toMatchObject({ reason: "total_budget_spent" });
  });
});
