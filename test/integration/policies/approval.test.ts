import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  addCheckOf,
  addRowsOf,
  createNotifiedWorld,
  emptyRedis,
  listDecisions,
  listTexts,
  type PolicyWorld,
  removeChecksOf,
  removeRowsOf,
} from "../../support/policies.ts";
import type { Receiver } from "../../support/receiver.ts";
import { until } from "../../support/world.ts";
import { NO_REDIS } from "../../support/redis-settings.ts";

const approval = { expires: "24h" };
const onAlert = (guards: object = {}) => ({
  policy: { when: { driftAlerts: 1 }, guards: { approval, ...guards } },
});
const BY = ["--by", "Ada", "--reason", "a test"];

const MODELS = {
  approved: onAlert(),
  deleted: onAlert(),
  moved: onAlert(),
  emptied: { policy: { when: [{ driftAlerts: 1 }, { bufferSize: 10 }], guards: { approval } } },
  rejected: onAlert({ approval: "1m" }),
  expired: onAlert({ approval: "1m" }),
  late: onAlert({ approval: "1m" }),
  snoozed: onAlert(),
  orphaned: onAlert(),
  emptiedRedis: onAlert(),
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

/** The requests for an approval that were notified. */
const listNotified = (model: string) => listTexts(slack).filter((text) => text.startsWith(`🙋 ${model}:`));

const triggersOf = async (model: string) =>
  (await listDecisions(world, model)).filter(({ decision }) => decision === "trigger_mock");

const statesOf = async (model: string) =>
  (
    await world.sql<{ state: string }>(
      "SELECT state FROM retraining_approvals WHERE model = $1 ORDER BY id",
      [model],
    )
  ).map(({ state }) => state);

/** Has a decision with an alert request an approval, and returns its number. */
async function requestApproval(model: keyof typeof MODELS): Promise<string> {
  await addCheckOf(world, model);
  const { reason, decisionId } = await world.decide({ model });
  expect({ model, reason }).toEqual({ model, reason: "awaiting_approval" });
  return String(decisionId);
}

/** Waits until the model has `count` decisions, and returns the latest. */
const untilDecided = (model: string, count: number, limitMs?: number) =>
  until(
    `decision ${count} about ${model}`,
    async () => {
      const rows = await listDecisions(world, model);
      return rows.length >= count ? rows.at(-1) : null;
    },
    limitMs,
  );

describe("an approval", { timeout: 60_000 }, () => {
  it("is requested with one notification, and leads to exactly one training on fresh evidence", async () => {
    const id = await requestApproval("approved");
    const texts = await until("the request is notified", async () => {
      const found = listNotified("approved");
      return found.length > 0 ? found : null;
    });
    expect(texts[0]).toContain(`npx retrigger approve ${id} --by NAME --reason TEXT`);
    expect(texts[0]).toContain(`npx retrigger reject ${id} --by NAME --reason TEXT`);
    // Another decision that awaits the same approval requests none of its own.
    const again = await world.decide({ model: "approved" });
    expect(again.reason).toBe("awaiting_approval");
    expect(again.report).toContain(`Approval: requested by decision #${id}`);
    await addCheckOf(world, "approved", { age: "1 minute", score: 0.9 });
    const { stdout, failure } = await world.run("approve", String(again.decisionId), ...BY);
    expect({ stdout, failure }).toEqual({
      stdout: `Approved: the training of approved that decision ${again.decisionId} awaits.`,
      failure: null,
    });
    expect(await untilDecided("approved", 3)).toMatchObject({
      decision: "trigger_mock",
      reason: "drift_detected",
      drift_score: 0.9,
    });
    expect(await statesOf("approved")).toEqual(["used"]);
    expect((await world.decide({ model: "approved" })).reason).toBe("already_acted_on");
    expect(await triggersOf("approved")).toHaveLength(1);
    expect(listNotified("approved")).toHaveLength(1);

    expect((await world.run("approve", id, ...BY)).failure).toBe(
      `The approval of decision ${id} was given by Ada, and its training was requested`,
    );
    expect((await world.run("reject", id, ...BY)).failure).toContain("was given by Ada");
  });

  it("is refused for anything but a decision that awaits one", async () => {
    const trigger = (await triggersOf("approved"))[0]?.id;
    const refused = async (...args: string[]) => (await world.run("approve", ...args)).failure;
    expect(await refused("999999", ...BY)).toBe(
      "Decision 999999 awaits no approval. See: npx retrigger history",
    );
    expect(await refused(String(trigger), ...BY)).toContain("awaits no approval");
    expect(await refused("approved", ...BY)).toContain("is not the number of a decision");
    expect(await refused(String(trigger), "--by", "Ada")).toContain("--reason");
  });

  it("whose alerts were deleted does not go out and is void", async () => {
    const id = await requestApproval("deleted");
    await removeChecksOf(world, "deleted");
    await world.run("approve", id, ...BY);
    expect(await untilDecided("deleted", 2)).toMatchObject({ reason: "no_drift_alerts" });
    expect(await statesOf("deleted")).toEqual(["void"]);
    expect((await world.run("approve", id, ...BY)).failure).toBe(
      `Decision ${id} no longer awaits an approval: the policy does not hold any more`,
    );
    // New drift needs an approval of its own.
    await requestApproval("deleted");
    expect(await statesOf("deleted")).toEqual(["void", "open"]);
    expect(await triggersOf("deleted")).toEqual([]);
  });

  it("whose alerts have left the window does not go out and is void", async () => {
    const id = await requestApproval("moved");
    await world.sql(
      "UPDATE monitoring.drift_log SET created_at = now() - interval '8 days' WHERE model = 'moved'",
    );
    await world.run("approve", id, ...BY);
    expect(await untilDecided("moved", 2)).toMatchObject({ reason: "no_drift_alerts" });
    expect(await statesOf("moved")).toEqual(["void"]);
  });

  it("whose buffer was emptied does not go out and is void", async () => {
    await addRowsOf(world, "emptied", 10);
    const id = await requestApproval("emptied");
    await removeRowsOf(world, "emptied");
    await world.run("approve", id, ...BY);
    expect(await untilDecided("emptied", 2)).toMatchObject({ reason: "insufficient_buffer" });
    expect(await statesOf("emptied")).toEqual(["void"]);
  });

  it("waits for the other guards, and is kept meanwhile", async () => {
    const id = await requestApproval("snoozed");
    await world.run("snooze", "snoozed", "--for", "5s", ...BY);
    const snoozed = await untilDecided("snoozed", 2);
    expect(snoozed).toMatchObject({ reason: "snoozed" });
    await world.run("approve", id, ...BY);
    await untilDecided("snoozed", 3);
    const last = await untilDecided("snoozed", 4);
    expect(last).toMatchObject({ decision: "trigger_mock", cause: "followup" });
    expect(last.takenAt).toBeGreaterThanOrEqual(snoozed.next_look_at?.getTime() ?? Infinity);
    expect(await statesOf("snoozed")).toEqual(["used"]);
  });

  it("that is rejected holds the model back, and is requested anew when the rejection ends", async () => {
    const id = await requestApproval("rejected");
    const { stdout } = await world.run("reject", id, ...BY);
    expect(stdout).toBe(`Rejected: the training of rejected that decision ${id} awaits.`);
    expect(await untilDecided("rejected", 2)).toMatchObject({ reason: "awaiting_approval" });
    await addCheckOf(world, "rejected", { age: "1 minute" });
    // As if most of its time had passed.
    await world.sql(
      "UPDATE retraining_approvals SET answered_at = answered_at - interval '54 s' WHERE model = 'rejected'",
    );
    const held = await world.decide({ model: "rejected" });
    expect(held).toMatchObject({ reason: "awaiting_approval" });
    expect(held.report).toContain("Approval: rejected by Ada (a test)");
    expect(await statesOf("rejected")).toEqual(["rejected"]);
    expect((await world.run("approve", id, ...BY)).failure).toBe(
      `The approval of decision ${id} was rejected by Ada already`,
    );
    const anew = await until("it is requested anew", async () =>
      (await statesOf("rejected")).length === 2 ? (await listDecisions(world, "rejected")).at(-1) : null,
    );
    expect(anew.takenAt).toBeGreaterThanOrEqual(Date.parse(held.nextLookAt ?? ""));
    await until("that is notified", async () => listNotified("rejected").length === 2);
    expect(await triggersOf("rejected")).toEqual([]);
  });

  it("that expires is requested anew by itself", async () => {
    const id = await requestApproval("expired");
    await world.sql(
      "UPDATE retraining_approvals SET expires_at = expires_at - interval '54 s' WHERE model = 'expired'",
    );
    await world.decide({ model: "expired" });
    await until("it is requested anew", async () => (await statesOf("expired")).length === 2);
    await until("that is notified", async () => listNotified("expired").length === 2);
    const [, , anew] = await listDecisions(world, "expired");
    expect(anew).toMatchObject({ reason: "awaiting_approval", cause: "followup" });
    expect((await world.run("approve", id, ...BY)).failure).toContain("has expired");
    await world.run("approve", String(anew?.id), ...BY);
    expect(await untilDecided("expired", 4)).toMatchObject({ decision: "trigger_mock" });
  });
});

describe("an approval that no worker noticed", { timeout: 60_000 }, () => {
  const answerOnly = (id: string) =>
    world.sql(
      `UPDATE retraining_approvals SET state = 'approved', answered_at = now(), answered_by = 'Ada', reason = 'a test'
       WHERE decision_id = $1`,
      [id],
    );

  it("because Redis was emptied right after it, is made up for", async () => {
    const id = await requestApproval("emptiedRedis");
    await answerOnly(id);
    await emptyRedis(world);
    expect(await untilDecided("emptiedRedis", 2, 40_000)).toMatchObject({ decision: "trigger_mock" });
    expect(await triggersOf("emptiedRedis")).toHaveLength(1);
  });

  it(
    "because the command died before its request, is made up for at a restart",
    { timeout: 60_000 },
    async () => {
      const id = await requestApproval("orphaned");
      await world.stopApps();
      await answerOnly(id);
      await world.startApp();
      expect(await untilDecided("orphaned", 2, 40_000)).toMatchObject({ decision: "trigger_mock" });
      expect(await triggersOf("orphaned")).toHaveLength(1);
    },
  );

  it("because Redis is down, is not recorded at all", async () => {
    const id = await requestApproval("late");
    const settings = { ...world.settings, ...NO_REDIS };
    const { failure } = await world.runWith(settings, "approve", id, ...BY);
    expect(failure).toContain("Redis");
    expect(await statesOf("late")).toEqual(["open"]);
  });
});
