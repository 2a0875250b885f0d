import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { parseConfig } from "../../src/config/config.ts";
import { createDatabase } from "../../src/postgres/database.ts";
import { SOURCE_TABLES } from "../../src/embedded/sample-data.ts";
import { createLogger } from "../../src/process/logger.ts";
import { queryOnce, withDatabase } from "../support/database-url.ts";
import { type OwnPostgres, startOwnPostgres, startStandby } from "../support/own-postgres.ts";
import { addCheck, addRatings, createWorld, until, type World } from "../support/world.ts";

let primary: OwnPostgres;
let standby: OwnPostgres;
let world: World;
const running = new Set<OwnPostgres>();

beforeAll(async () => {
  primary = await startOwnPostgres();
  running.add(primary);
  await queryOnce(primary.url, "CREATE DATABASE service");
  await queryOnce(withDatabase(primary.url, "service"), SOURCE_TABLES);
  standby = await startStandby(primary);
  running.add(standby);
  world = await createWorld({ settings: { MIN_BUFFER_SIZE: "1" } });
});
afterAll(async () => {
  await world?.close();
  for (const server of running) await server.stop();
});

/** Both servers in one URL, the standby first. */
function settingsOfBoth(): Record<string, string> {
  const { username, password, port } = new URL(primary.url);
  const hosts = `127.0.0.1:${new URL(standby.url).port},127.0.0.1:${port}`;
  const DATABASE_URL = `postgres://${username}:${password}@${hosts}/service?target_session_attrs=read-write`;
  return { ...world.settings, DATABASE_URL };
}

const on = (server: OwnPostgres) => ({
  sql: (text: string, values?: unknown[]) => queryOnce(withDatabase(server.url, "service"), text, values),
});

async function decide(runId: string) {
  const jobId = await world.client.send("drift_monitoring.completed", { runId });
  return world.client.waitForDecision(jobId, { limitMs: 25_000 });
}

describe("two hosts and target_session_attrs=read-write", () => {
  it("lead to the primary, and to the replica once that is promoted", async () => {
    const config = parseConfig(settingsOfBoth());
    await world.startApp(config);
    await addCheck(on(primary) as never);
    await addRatings(on(primary) as never, 3);
    expect(await decide("first")).toMatchObject({ decision: "trigger_mock" });
    const count = "SELECT count(*)::int AS count FROM retraining_decisions";
    await until(
      "the replica has the decision",
      async () => (await on(standby).sql(count))[0]?.["count"] === 1,
    );

    running.delete(primary);
    await primary.stop();
    await queryOnce(standby.url, "SELECT pg_promote()");
    expect(await decide("second")).toMatchObject({ reason: "already_acted_on" });
    expect(await on(standby).sql(count)).toEqual([{ count: 2 }]);
  });

  it("drop a connection to a server that no longer accepts writes, and return once it does", async () => {
    const database = createDatabase(parseConfig(settingsOfBoth()), createLogger("silent"));
    const listConnections = () =>
      queryOnce(
        standby.url,
        "SELECT pid FROM pg_stat_activity WHERE application_name = 'retrigger' AND query ~ 'retraining_snoozes'",
      );
    const snooze = () =>
      database.saveSnooze({ model: "default", forSeconds: 60, reason: "a test", by: "a test" });
    await snooze();
    await queryOnce(standby.url, "ALTER SYSTEM SET default_transaction_read_only = on");
    await queryOnce(standby.url, "SELECT pg_reload_conf()");
    const [before] = await listConnections();
    await until("a write is refused, as by a demoted primary", async () => {
      const error = await snooze().catch((thrown: unknown) => thrown);
      return error instanceof Error && error.message.includes("read-only transaction");
    });
    await until("the connection is gone", async () => (await listConnections()).length === 0);
    await expect(snooze()).rejects.toMatchObject({ code: "POSTGRES_AWAY" });

    const writable = `${standby.url}?options=-c%20default_transaction_read_only%3Doff`;
    await queryOnce(writable, "ALTER SYSTEM RESET default_transaction_read_only");
    await queryOnce(writable, "SELECT pg_reload_conf()");
    await until("writes work again", () => snooze().catch(() => null));
    expect(await listConnections()).not.toContainEqual(before);
    await database.close();
  });
});
