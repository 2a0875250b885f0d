import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createChain } from "../../queues/chain.ts";
import type { App } from "../../src/app.ts";
import { PermanentError } from "../../src/core/errors.ts";
import { type Receiver, startReceiver } from "../support/receiver.ts";
import { addCheck, createWorld, failureOf, until, withQueue, type World } from "../support/world.ts";

let world: World;
let app: App;
let webhook: Receiver;

beforeEach(async () => {
  webhook = await startReceiver();
  world = await createWorld({
    settings: {
      MIN_BUFFER_SIZE: "0",
      NOTIFICATION_URL: `${webhook.url}/hook`,
      NOTIFICATION_SECRET: "a secret of the webhook",
    },
  });
  await addCheck(world);
  app = await world.startApp({ role: "all" });
});
afterEach(async () => {
  await world.close();
  await webhook.close();
});

const board = (path: string) =>
  fetch(`${app.address()}/queues/api/queues/${path}`, {
    method: "PUT",
    headers: { "content-type": "application/json", origin: app.address() ?? "" },
  });

/** Ways in which a failed job is removed: by hand, or by the retention limits. */
const REMOVALS: [string, (stage: string, runId: string) => Promise<unknown>][] = [
  [
    "cleaned in Bull Board",
    // Bull Board's button cleans jobs that ended at least five seconds ago.
    (stage) =>
      until("it is cleaned", async () => {
        await board(`${stage}/clean/failed`);
        return withQueue(world, stage, async (queue) => (await queue.getFailedCount()) === 0);
      }),
  ],
  ["removed in Bull Board", (stage, runId) => board(`${stage}/${runId}/clean`)],
  ["cleaned by a program", (stage) => withQueue(world, stage, (queue) => queue.clean(0, 100, "failed"))],
  ["removed alone", (stage, runId) => withQueue(world, stage, (queue) => queue.remove(runId))],
];

const EVENT = "drift_monitoring.completed";

/** Makes a run fail at a stage by renaming a table that the stage needs. */
async function failAt(stage: "gather" | "act"): Promise<{ jobId: string; runId: string }> {
  const table = stage === "gather" ? "ratings_buffer" : "retraining_dispatches";
  const act = stage === "act" ? await pause("act") : null;
  const jobId = await world.client.send(EVENT, { runId: `fails-at-${stage}` });
  if (act) await until("act is next", act.isNext);
  await world.sql(`ALTER TABLE ${table} RENAME TO elsewhere`);
  await act?.resume();
  const runId = await until("the stage failed", () =>
    withQueue(world, stage, async (queue) => (await queue.getFailed())[0]?.id),
  );
  await until("the failure is notified", async () => kinds().includes("retrigger.chain_failed"));
  await world.sql(`ALTER TABLE elsewhere RENAME TO ${table}`);
  return { jobId, runId };
}

async function pause(stage: string) {
  await withQueue(world, stage, (queue) => queue.pause());
  return {
    isNext: () => withQueue(world, stage, async (queue) => (await queue.getWaitingCount()) > 0),
    resume: () => withQueue(world, stage, (queue) => queue.resume()),
  };
}

const kinds = (): string[] => webhook.received.map(({ body }) => (JSON.parse(body) as { type: string }).type);

const stateOf = (runId: string) =>
  withQueue(world, "summarize", (summarize) => {
    const flow = { add: () => Promise.reject(new Error("no chain is started here")) };
    return createChain({ inbox: world.client.inbox, act: summarize, summarize, flow }).stateOf(runId);
  });

describe.each(["gather", "act"] as const)("a failed %s that is removed", (stage) => {
  it.each(REMOVALS)("ends its run without a false alarm: %s", async (_, remove) => {
    const { jobId, runId } = await failAt(stage);
    await remove(stage, runId);
    await until("the chain is done", async () => (await stateOf(runId)) === "done");
    await withQueue(world, "summarize", async (queue) =>
      expect((await queue.getJob(runId))?.returnvalue).toEqual({ outcome: "abandoned", removed: stage }),
    );

    const waiting = world.client.waitForDecision(jobId, { limitMs: 5_000 });
    await expect(waiting).rejects.toBeInstanceOf(PermanentError);
    expect(await failureOf(waiting)).toContain(`its ${stage} job was removed`);
    expect(await world.redis.exists(`${world.config.redisPrefix}:decision-lock:default`)).toBe(0);
    for (const later of ["gather", "evaluate", "act", "summarize"])
      expect(await withQueue(world, later, (queue) => queue.getFailedCount())).toBe(0);

    expect((await world.decide()).decision).toMatch(/trigger_mock|no_action/);
    expect(kinds().filter((kind) => kind === "retrigger.chain_failed")).toHaveLength(1);
  });
});

describe("a gather that is removed while it waits for its next attempt", () => {
  it("releases its lock, so that the next event decides at once", async () => {
    await world.sql(
      `CREATE FUNCTION fail() RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RAISE 'the disk is on fire'; END $$;
       ALTER TABLE ratings_buffer RENAME TO ratings;
       CREATE VIEW ratings_buffer AS SELECT * FROM ratings WHERE fail();
       INSERT INTO ratings VALUES (1, 1, 1, 1, 'batch')`,
    );
    await world.client.send(EVENT, { runId: "drift-broken" });
    await withQueue(world, "gather", async (queue) => {
      const runId = await until("it waits", async () => (await queue.getDelayed())[0]?.id);
      await queue.remove(runId);
      await until("the chain is done", async () => (await stateOf(runId)) === "done");
    });
    await world.sql("DROP VIEW ratings_buffer; ALTER TABLE ratings RENAME TO ratings_buffer");
    expect(await world.redis.exists(`${world.config.redisPrefix}:decision-lock:default`)).toBe(0);
    expect((await world.decide()).decision).toBe("trigger_mock");
    expect(kinds()).not.toContain("retrigger.chain_failed");
  });
});

describe("a stage that is retried while the one before runs again", () => {
  it("waits for its result instead of treating the job as removed", async () => {
    const { runId } = await failAt("act");
    const gather = await pause("gather");
    for (const stage of ["gather", "evaluate"])
      await withQueue(world, stage, async (queue) => (await queue.getJob(runId))?.retry("completed"));
    await withQueue(world, "evaluate", (queue) =>
      until("it waits", async () => (await queue.getJobState(runId)) === "waiting-children"),
    );
    await gather.resume();
    await withQueue(world, "evaluate", async (queue) => {
      await until("it is done", async () => (await queue.getJobState(runId)) === "completed");
      expect((await queue.getJob(runId))?.returnvalue).toHaveProperty("verdict");
    });
  });
});
