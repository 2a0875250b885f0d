import { pino } from "pino";
import { afterAll, beforeAll, beforeEach, expect, it } from "vitest";
import { createDatabase, type Database } from "../../src/postgres/database.ts";
import { createWorld, failureOf, holdTable, type World } from "../support/world.ts";

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

/** Breaks the connection of a call that waits for a table, after `meanwhile`. */
async function breakWaitingCall(meanwhile: () => Promise<void>): Promise<string> {
  const held = await holdTable(world, "retraining_events");
  const call = failureOf(database.moveEvents("one", "another"));
  await held.untilSessionWaits();
  await meanwhile();
  await world.sql(
    "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE NOT granted AND relation = 'retraining_events'::regclass",
  );
  const failure = await call;
  await held.release();
  return failure;
}

it("a call that breaks shows that Postgres is away, until another succeeds", async () => {
  expect(await breakWaitingCall(async () => {})).toContain("terminating connection");
  expect(messages).toEqual([expect.stringContaining("Postgres is away")]);
  await database.ping();
  expect(messages.slice(1)).toEqual(["Postgres is back"]);
});

it("a call that breaks after another has succeeded does not: it may have waited since before an outage ended", async () => {
  expect(await breakWaitingCall(() => database.ping())).toContain("terminating connection");
  expect(messages).toEqual([]);
});
