import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { INBOX, INBOX_JOBS } from "../../queues/names.ts";
import { createTcpProxy, type TcpProxy } from "../faults/tcp-proxy.ts";
import { addCheck, addRatings, createWorld, until, withQueue, type World } from "../support/world.ts";

let world: World;
let proxy: TcpProxy;
let address: string;

beforeAll(async () => {
  world = await createWorld({ settings: { MIN_BUFFER_SIZE: "1" } });
  proxy = await createTcpProxy(world.config.databaseUrl);
  const app = await world.startApp({ databaseUrl: proxy.url, role: "all" });
  address = app.address() ?? "";
  await addCheck(world);
  await addRatings(world, 3);
  await world.decide();
});
afterAll(async () => {
  await world.close();
  await proxy.close();
});

const readiness = async (): Promise<number> => (await fetch(`${address}/readyz`)).status;

describe("a database that suspends when idle", () => {
  it("can do so: a service without work closes every connection, which one query in ten seconds would keep open", async () => {
    await until("no connection is left", async () => {
      const left = await world.sql(
        "SELECT FROM pg_stat_activity WHERE application_name = 'retrigger' AND datname = current_database()",
      );
      return left.length === 0;
    });
  });

  it.each([
    { how: "refuses connections", sleep: () => proxy.cut(), wake: () => proxy.heal() },
    {
      how: "accepts them, but does not respond",
      sleep: () => proxy.slowDown(10_000),
      wake: () => proxy.slowDown(0),
    },
  ])(
    "is waited for while it $how, without an attempt of the event's job or an alarm that stays",
    async ({ how, sleep, wake }) => {
      sleep();
      const jobId = await world.client.send(INBOX_JOBS.event, { runId: `asleep: ${how}` });
      await until("the service notices", async () => (await readiness()) === 503);
      wake();
      const { decisionId } = await world.client.waitForDecision(jobId, { limitMs: 25_000 });
      expect(decisionId).toEqual(expect.any(Number));
      expect(await readiness()).toBe(200);
      const job = await withQueue(world, INBOX, (queue) => queue.getJob(jobId));
      expect(job?.attemptsMade).toBe(1);
    },
  );
});
