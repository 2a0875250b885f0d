import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Notification } from "../../queues/jobs.ts";
import { type Config, parseConfig } from "../../src/config/config.ts";
import { createDatabase } from "../../src/postgres/database.ts";
import { createLogger } from "../../src/process/logger.ts";
import { confirmDispatch, reopenDispatch } from "../../src/use-cases/settle-dispatch.ts";
import { type Receiver, startReceiver } from "../support/receiver.ts";
import { addCheck, createWorld, until, withQueue, type World } from "../support/world.ts";

let world: World;
let people: Receiver;
let trainer: Receiver;
beforeEach(async () => {
  [people, trainer] = await Promise.all([startReceiver(), startReceiver()]);
  world = await createWorld({
    settings: {
      MIN_BUFFER_SIZE: "0",
      NOTIFICATION_URL: `${people.url}/hook`,
      NOTIFICATION_SECRET: "a secret of the webhook",
    },
  });
});
afterEach(async () => {
  await world.close();
  await people.close();
  await trainer.close();
});

type Sent = Pick<Notification, "decisionId" | "resolves" | "runId" | "text"> & { kind: string };

/** The notifications of these kinds that arrived, once each. */
function listSent(...kinds: string[]): Sent[] {
  return people.received
    .map(({ body }) => JSON.parse(body) as { type: string; data: Omit<Sent, "kind"> })
    .map(({ type, data }) => ({ kind: type.replace("retrigger.", ""), ...data }))
    .filter(({ kind }) => kinds.includes(kind));
}

const untilSent = (kind: string, count = 1) =>
  until(`${kind} was sent`, async () => listSent(kind).length >= count);

/** All notifications so far were delivered. */
const untilDelivered = () =>
  withQueue(world, "notifications", (queue) =>
    until(
      "all are delivered",
      async () => (await queue.getJobCountByTypes("wait", "active", "delayed")) === 0,
    ),
  );

function configOf(settings: Record<string, string> = {}): Config {
  const config = parseConfig({ ...world.settings, ...settings });
  return { ...config, role: "worker", timing: { ...config.timing, searchMs: 300, pollMs: 150 } };
}

describe("a run that failed for good", () => {
  it("is over once the model is decided about again, after a restart too, and that is notified once", async () => {
    const first = await world.startApp(configOf());
    await world.decide();
    await world.sql("ALTER TABLE drift_alerts RENAME TO gone");
    await world.decide().catch(() => {});
    await world.decide().catch(() => {});
    await untilSent("chain_failed", 2);
    await first.stop();
    await world.sql("ALTER TABLE gone RENAME TO drift_alerts");
    await world.startApp(configOf());
    const { decisionId } = await world.decide();
    await untilSent("chain_recovered");
    await world.decide();
    await untilDelivered();
    const [failed] = listSent("chain_failed");
    expect(listSent("chain_recovered")).toEqual([
      {
        kind: "chain_recovered",
        model: "default",
        runId: failed?.runId,
        decisionId,
        resolves: { kind: "chain_failed", runId: failed?.runId, decisionId: null },
        text: `✅ default: decision #${decisionId} was recorded after run ${failed?.runId} failed at gather`,
      },
    ]);
    expect(await world.redis.hlen(`${world.config.redisPrefix}:failed-models`)).toBe(0);
  });

  it("is not over because of an event that cannot be read, nor said to be over if nobody was told of it", async () => {
    const silent = configOf();
    const notifications = { ...silent.notifications, webhookUrl: null };
    const first = await world.startApp({ ...silent, notifications });
    await world.sql("ALTER TABLE drift_alerts RENAME TO gone");
    await world.decide().catch(() => {});
    await world.sql("ALTER TABLE gone RENAME TO drift_alerts");
    await first.stop();
    await world.startApp(configOf());
    await world.client.send("drift_monitoring.completed", { runId: "" });
    await untilSent("chain_failed");
    await world.decide();
    await untilDelivered();
    expect(listSent("chain_recovered")).toEqual([]);
  });
});

describe("an unknown dispatch", () => {
  it.each([
    ["confirmed", "✅ default: the training of decision #1 is no longer unknown: it succeeded"],
    ["resent", "✅ default: the training of decision #1 is no longer unknown: it was requested again"],
  ] as const)("that is %s is notified of once as settled", async (how, text) => {
    const config = configOf({
      TRAINER: "webhook",
      TRAINER_URL: `${trainer.url}/train`,
      TRAINER_SECRET: "a secret of the trainer",
      TRAINER_OUTCOME: "accepted",
    });
    trainer.respond = (_, response) => void response.destroy();
    await addCheck(world);
    await world.startApp(config);
    const { runId, decisionId } = await world.decide();
    await untilSent("dispatch_unknown");
    await untilDelivered();
    expect(listSent("dispatch_settled")).toEqual([]);

    const database = createDatabase(config, createLogger("silent"));
    const record = await database.readDispatch(runId);
    if (record === null) throw new Error("there is no dispatch");
    trainer.respond = (_, response) => response.end();
    if (how === "resent") await reopenDispatch(config, database, record, "unknown");
    else await confirmDispatch(config, database, record, { externalId: "run-7", isDone: true });
    await database.close();
    for (let round = 0; round < 2; round += 1) {
      await world.client.resumeTraining({ runId, model: "default" });
      await untilSent("dispatch_settled");
      await world.client.waitForTraining(runId, { limitMs: 20_000 });
    }
    await untilSent("training_ended");
    await untilDelivered();
    expect(listSent("dispatch_settled")).toEqual([
      {
        kind: "dispatch_settled",
        model: "default",
        runId,
        decisionId,
        resolves: { kind: "dispatch_unknown", runId, decisionId },
        text,
      },
    ]);
  });

  it("is never said to be settled if it was not unknown", async () => {
    await addCheck(world);
    await world.startApp(
      configOf({ TRAINER: "command", TRAINER_COMMAND: '["true"]', PATH: process.env["PATH"] ?? "" }),
    );
    await world.decide();
    await untilSent("training_ended");
    await untilDelivered();
    expect(listSent("dispatch_settled", "chain_recovered")).toEqual([]);
    expect(listSent("training_ended")[0]?.resolves).toBeUndefined();
  });
});

describe("a failed training", () => {
  it("is over with the next one that succeeds, which says so; a further one does not", async () => {
    const path = { PATH: process.env["PATH"] ?? "" };
    const train = async (program: string) => {
      const app = await world.startApp(
        configOf({ TRAINER: "command", TRAINER_COMMAND: JSON.stringify([program]), ...path }),
      );
      const count = listSent("training_ended").length;
      await addCheck(world, { age: `${10 - count} minutes` });
      await world.decide();
      await untilSent("training_ended", count + 1);
      await app.stop();
    };
    await train("false");
    await train("true");
    await train("true");
    const ends = listSent("training_ended");
    const [failed] = ends;
    expect(failed?.text).toContain("❌");
    // A follow-up of the failure may be the first to decide.
    expect(ends.map(({ resolves }) => resolves)).toEqual([
      undefined,
      { kind: "training_ended", runId: failed?.runId, decisionId: failed?.decisionId },
      undefined,
    ]);
    expect(ends[1]?.text).toContain(`\nResolves the failed training of decision #${failed?.decisionId}`);
  });
});
