import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { INBOX_JOBS } from "../../../queues/names.ts";
import {
  addCheckOf,
  createNotifiedWorld,
  emptyRedis,
  listDecisions,
  listTexts,
  type PolicyWorld,
  removeChecksOf,
} from "../../support/policies.ts";
import type { Receiver } from "../../support/receiver.ts";
import { until } from "../../support/world.ts";

const model = { policy: { when: { driftAlerts: 5 } }, expectDriftRunEvery: "1m" };
const MODELS = {
  checked: model,
  evented: model,
  unseen: model,
  forgotten: model,
  unexpected: { policy: model.policy },
};

let world: PolicyWorld;
let slack: Receiver;
beforeAll(async () => {
  ({ world, slack } = await createNotifiedWorld(MODELS));
});
afterAll(async () => {
  await world.close();
  await slack.close();
});

const listNotified = (name: string) =>
  listTexts(slack).filter((text) => text.startsWith(`🔇 ${name}:`) || text.startsWith(`🔊 ${name}:`));

const untilNotified = (name: string, count: number, limitMs?: number) =>
  until(
    `notification ${count} about ${name}`,
    async () => (listNotified(name).length >= count ? listNotified(name) : null),
    limitMs,
  );

/** Makes all that was seen of drift monitoring older. */
async function age(name: string, by: string) {
  await world.sql("UPDATE retraining_events SET received_at = received_at - $2::interval WHERE model = $1", [
    name,
    by,
  ]);
  await world.sql("UPDATE monitoring.drift_log SET created_at = created_at - $2::interval WHERE model = $1", [
    name,
    by,
  ]);
}

/** Requests a decision, which is no sign of drift monitoring. */
async function decideByHand(name: string) {
  const jobId = await world.client.send(INBOX_JOBS.manual, { model: name });
  return world.client.waitForDecision(jobId, { limitMs: 25_000 });
}

const statesOf = async (name: string) =>
  (await listDecisions(world, name)).map(({ explanation }) => explanation.driftRuns?.state);

// From then on the first drift run is awaited.
it(
  "models that expect drift runs are evaluated at the start without any request",
  { timeout: 60_000 },
  async () => {
    for (const name of ["checked", "evented", "unseen", "forgotten"])
      await until(`${name} is evaluated`, async () => (await statesOf(name)).length > 0);
    expect(await statesOf("unseen")).toEqual(["seen"]);
    expect(await statesOf("unexpected")).toEqual([]);
  },
);

describe.concurrent("a model that expects a drift run every minute", { timeout: 60_000 }, () => {
  it("has one notification when none came, without any request, and one when it is over", async () => {
    await world.decide({ model: "evented" });
    await age("evented", "55 s");
    const { nextLookAt, explanation } = await decideByHand("evented");
    expect(explanation?.driftRuns).toMatchObject({ state: "seen", every: "1m", dueAt: nextLookAt });
    const [missing] = await untilNotified("evented", 1);
    expect(missing).toMatch(
      /^🔇 evented: a drift run is expected every 1m, but the last sign of one was at \d{4}-/,
    );
    const row = (await listDecisions(world, "evented")).at(-1);
    expect(row).toMatchObject({
      cause: "followup",
      next_look_at: null,
      explanation: { driftRuns: { state: "missing" } },
    });
    expect(row?.takenAt).toBeGreaterThanOrEqual(Date.parse(nextLookAt ?? ""));

    // Nothing new is to be said as long as none comes.
    const again = await decideByHand("evented");
    expect(again.explanation?.driftRuns?.state).toBe("missing");
    expect(again.report).toContain("🔇 Drift runs are missing: expected every 1m, due since");
    const why = await world.run("why", "evented");
    expect(why.stdout).toContain("🔇 Drift runs are missing");
    const whyJson = await world.run("why", "evented", "--json");
    expect(JSON.parse(whyJson.stdout)).toMatchObject({ driftRuns: { state: "missing", every: "1m" } });

    const event = await world.decide({ model: "evented" });
    expect(event.explanation?.driftRuns?.state).toBe("seen");
    expect(event.report).not.toContain("Drift runs are missing");
    const texts = await untilNotified("evented", 2);
    expect(texts[1]).toMatch(/^🔊 evented: drift runs are back/);
    await decideByHand("evented");
    expect(listNotified("evented")).toHaveLength(2);
  });

  it("takes a check in the source, of any age, for a sign of life", async () => {
    await addCheckOf(world, "checked", { age: "10 days", fired: false });
    await decideByHand("checked");
    const [missing] = await untilNotified("checked", 1);
    expect(missing).toContain(
      `the last sign of one was at ${new Date(Date.now() - 10 * 86_400_000).toISOString().slice(0, 10)}`,
    );
    await addCheckOf(world, "checked", { age: "50 s", fired: false });
    // A time far in the future is a mistake.
    await addCheckOf(world, "checked", { age: "-56597 years", fired: false });
    await decideByHand("checked");
    expect(await statesOf("checked")).toEqual(["seen", "missing", "seen"]);
    await untilNotified("checked", 2);
    await untilNotified("checked", 3);
    await removeChecksOf(world, "checked");
  });

  it("awaits the first one since the first decision", async () => {
    await decideByHand("unseen");
    await world.sql(
      "UPDATE retraining_decisions SET taken_at = taken_at - interval '55 s' WHERE model = 'unseen'",
    );
    const { explanation, nextLookAt } = await decideByHand("unseen");
    expect(explanation?.driftRuns).toMatchObject({ state: "seen", lastSeenAt: null, dueAt: nextLookAt });
    expect(await untilNotified("unseen", 1)).toEqual([
      "🔇 unseen: a drift run is expected every 1m, but none has been seen yet\nMore: npx retrigger history --model unseen",
    ]);
  });

  it("is not watched unless the settings say so", async () => {
    const { explanation, nextLookAt } = await world.decide({ model: "unexpected" });
    expect({ runs: explanation?.driftRuns, nextLookAt }).toEqual({ runs: null, nextLookAt: null });
  });
});

describe("missing drift runs", { timeout: 60_000 }, () => {
  it(
    "are noticed once although Redis was emptied and the service restarted",
    { timeout: 60_000 },
    async () => {
      await world.decide({ model: "forgotten" });
      await age("forgotten", "50 s");
      await decideByHand("forgotten");
      await world.stopApps();
      await emptyRedis(world);
      await world.startApp();
      await untilNotified("forgotten", 1);
      await world.stopApps();
      await emptyRedis(world);
      await world.startApp();
      await decideByHand("forgotten");
      expect(listNotified("forgotten")).toHaveLength(1);
    },
  );
});

it(
  "an expectation that was added while the service was stopped is noticed at the start",
  { timeout: 30_000 },
  async () => {
    await world.decide({ model: "unexpected" });
    await world.stopApps();
    // Changes younger than some seconds may still be on their way.
    await world.sql(
      "UPDATE retraining_decisions SET taken_at = taken_at - interval '10 s' WHERE model = 'unexpected'",
    );
    await world.startApp(await world.describe({ ...MODELS, unexpected: model }));
    await until("its drift runs are watched", async () => (await statesOf("unexpected")).includes("seen"));
  },
);
