import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type Receiver, startReceiver } from "../support/receiver.ts";
import { signatureOf, signedHeaders } from "../support/signed-headers.ts";
import { addCheck, createWorld, until, withQueue, type World } from "../support/world.ts";
import { listKeys } from "../support/redis-keys.ts";

const SECRET = "a secret of the webhook";

let world: World;
let [slack, webhook]: Receiver[] = [];
beforeEach(async () => {
  [slack, webhook] = await Promise.all([startReceiver(), startReceiver()]);
  world = await createWorld({
    settings: {
      MIN_BUFFER_SIZE: "0",
      SLACK_WEBHOOK_URL: `${slack?.url}/services/T0/B0/token-of-slack`,
      NOTIFICATION_URL: `${webhook?.url}/hook`,
      NOTIFICATION_SECRET: SECRET,
    },
  });
});
afterEach(async () => {
  await world.close();
  await slack?.close();
  await webhook?.close();
});

describe("notifications", () => {
  it("are sent to Slack and the webhook once per trigger, and not at all without a trigger", async () => {
    await world.startApp();
    expect((await world.decide()).decision).toBe("no_action");
    await addCheck(world);
    const { runId } = await world.decide();
    await until(
      "both were notified",
      async () => slack?.received.length === 1 && webhook?.received.length === 1,
    );
    const { text } = JSON.parse(slack?.received[0]?.body ?? "") as { text: string };
    const hint = "\nMore: npx retrigger history --model default";
    expect(text.endsWith(hint)).toBe(true);
    expect(text).toContain("🚨 default: retraining triggered by decision #2");
    expect(text).toContain("Drift 0.0975 in rating_distribution_ks, buffer 0 ratings");
    const notification = webhook?.received[0];
    const headers = notification?.headers ?? {};
    const timestamp = headers["x-retrigger-timestamp"] ?? "";
    expect(Math.abs(Number(timestamp) - Date.now() / 1000)).toBeLessThan(60);
    expect(signatureOf(headers)).toEqual(signedHeaders(SECRET, notification?.body ?? "", timestamp));
    expect(JSON.parse(notification?.body ?? "")).toMatchObject({
      specversion: "1.0",
      type: "retrigger.training_triggered",
      subject: "default",
      data: { runId, decisionId: 2, text: text.replace(hint, "") },
    });
    expect(notification?.headers["idempotency-key"]).toBe(
      (JSON.parse(notification?.body ?? "") as { id: string }).id,
    );
  });

  it("are delivered at least once, to a busy or failing receiver later", async () => {
    await addCheck(world);
    if (slack)
      slack.respond = (_, response) => response.writeHead(slack?.received.length === 1 ? 503 : 200).end();
    if (webhook)
      webhook.respond = (_, response) =>
        response.writeHead(webhook?.received.length === 1 ? 429 : 200, { "retry-after": "1" }).end();
    await world.startApp();
    await world.decide();
    await until(
      "both were notified twice",
      async () => slack?.received.length === 2 && webhook?.received.length === 2,
    );
  });

  it("never delay a decision, and a receiver that refuses for good shows in Bull Board", async () => {
    await addCheck(world);
    if (slack) slack.respond = () => {};
    if (webhook) webhook.respond = (_, response) => response.writeHead(410).end();
    await world.startApp();
    const begun = Date.now();
    expect((await world.decide()).decision).toBe("trigger_mock");
    expect(Date.now() - begun).toBeLessThan(5_000);
    const [failed] = await until("the notification has failed for good", () =>
      withQueue(world, "notifications", async (queue) => {
        const jobs = await queue.getFailed();
        return jobs.length > 0 ? jobs : null;
      }),
    );
    expect(failed?.failedReason).toContain(
      "webhook responded with status 410. Correct its URL in the settings",
    );
    // The address is a secret.
    const keys = await listKeys(world.redis, `${world.config.redisPrefix}:notifications:*`);
    const stored = await Promise.all(keys.map(async (key) => world.redis.hgetall(key).catch(() => ({}))));
    expect(JSON.stringify(stored)).not.toContain("token-of-slack");
  });

  it("report a chain that failed, with what to do", async () => {
    await world.startApp();
    await world.sql("ALTER TABLE drift_alerts RENAME TO gone");
    await world.decide().catch(() => {});
    await until("the failure is notified", async () => slack?.received.length === 1);
    const { text } = JSON.parse(slack?.received[0]?.body ?? "") as { text: string };
    expect(text).toMatch(/❌ default: run \S+ failed at gather\nMissing table/);
  });
});
