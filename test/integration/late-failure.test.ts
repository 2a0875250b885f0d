import { pino } from "pino";
import { afterAll, beforeAll, beforeEach, expect, it } from "vitest";
import { createDatabase, type Database } from "../../src/postgres/database.ts";
import { createRunId } from "../../queues/run-id.ts";
import { createWorld, failureOf, holdTable, IN_THIS_DATABASE, until, type World } from "../support/world.ts";

let world: World;
let database: Database;
let messages: string[] = [];
beforeAll(async () => {
  world = await createWorld();
  const write = (line: string) => messages.push((JSON.parse(line) as { msg: string }).msg);
  database = createDatabase(world.config, pino({ level: "info" }, { write }));
});
beforeEach(() => {
  messages = [];
});
afterAll(async () => {
  await database.close();
  await world.close();
});

/** Starts calls that wait for a table, and returns how to break the connection of the first that still waits. */
async function startWaitingCalls(count: number) {
  const held = await holdTable(world, "retraining_events");
  const calls: Promise<string>[] = [];
  for (let index = 0; index < count; index += 1) {
    calls.push(failureOf(database.moveEvents(createRunId(), createRunId())));
    await until("it waits", async () => (await listWaiting()).length > index);
  }
  return {
    async breakNext(): Promise<string | undefined> {
      const [first] = await listWaiting();
      await world.sql("SELECT pg_terminate_backend($1)", [first]);
      return calls.shift();
    },
    release: held.release,
  };
}

async function listWaiting(): Promise<number[]> {
  const rows = await world.sql<{ pid: number }>(
    `SELECT pid FROM pg_locks WHERE NOT granted AND relation = 'retraining_events'::regclass
     AND ${IN_THIS_DATABASE} ORDER BY waitstart`,
  );
  return rows.map(({ pid }) => pid);
}

it("a call that began before an outage ended, and breaks after it, is no second outage", async () => {
  const waiting = await startWaitingCalls(3);
  expect(await waiting.breakNext()).toContain("terminating connection");
  expect(messages).toEqual([expect.stringContaining("Postgres is away")]);
  await database.ping();
  expect(messages.slice(1)).toEqual(["Postgres is back"]);
  await waiting.breakNext();
  await waiting.breakNext();
  expect(messages).toHaveLength(2);
  await waiting.release();
});

it("a call that breaks is one although others succeed meanwhile", async () => {
  const waiting = await startWaitingCalls(1);
  await database.ping();
  await waiting.breakNext();
  expect(messages).toEqual([expect.stringContaining("Postgres is away")]);
  await database.ping();
  expect(messages).toHaveLength(2);
  await waiting.release();
});
