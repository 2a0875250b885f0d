import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { Policy } from "../../src/core/policy.ts";
import { createDatabase, type Database } from "../../src/postgres/database.ts";
import { createSourcePools } from "../../src/postgres/source-pools.ts";
import { createLogger } from "../../src/process/logger.ts";
import type { Sources } from "../../src/settings/sources.ts";
import { GUIDE_SOURCES } from "../support/sources.ts";
import {
  addCheck,
  addRatings,
  createWorld,
  failureOf,
  holdTable,
  until,
  type World,
} from "../support/world.ts";

const log = createLogger("silent");

/** The database of Retrigger, which has no source tables, and that of the model, which has nothing else. */
let world: World;
let model: World;
let database: Database;
beforeAll(async () => {
  [world, model] = await Promise.all([createWorld({ isEmpty: true }), createWorld()]);
  database = createDatabase(world.config, log);
  await database.migrate();
});
afterEach(async () => {
  await model.sql("TRUNCATE drift_alerts, ratings_buffer RESTART IDENTITY");
  await world.sql("TRUNCATE retraining_decisions CASCADE");
});
afterAll(async () => {
  await database.close();
  await Promise.all([world.close(), model.close()]);
});

const POLICY = Policy.parse({ when: { all: [{ driftAlerts: 1 }, { bufferGrowth: 1 }] } });

function sourcesOf(changes: Partial<Sources> = {}): Sources {
  return {
    ...GUIDE_SOURCES,
    database: { variable: "FILMS_DATABASE_URL", url: model.config.databaseUrl },
    ...changes,
  };
}

const OTHERS = { trainer: { name: "github" }, expectDriftRunEveryMs: null };

const read = (source = sourcesOf(), policy = POLICY) =>
  database.fetchEvidence("films", { policy, source, ...OTHERS });

describe("a source in a database of its own", () => {
  it("gives the same evidence as one in Retrigger's", async () => {
    for (const age of ["1 hour", "2 hours", "9 days"]) await addCheck(model, { age });
    await addCheck(model, { triggered: false, score: Number.NaN, feature: null });
    await addRatings(model, 5);
    const local = createDatabase(model.config, log);
    try {
      await local.migrate();
      const policy = Policy.parse({
        when: { all: [{ driftAlerts: 1 }, { quantile: { last: 2 } }, { bufferGrowth: 1 }] },
      });
      const expected = await local.fetchEvidence("films", {
        policy,
        source: sourcesOf({ database: null }),
        ...OTHERS,
      });
      const evidence = await read(sourcesOf(), policy);
      expect(evidence.weighed).toHaveLength(4);
      expect({ ...evidence, takenAt: "" }).toEqual({ ...expected, takenAt: "", isGuide: false });
    } finally {
      await local.close();
    }
  });

  it("is joined with the trainings that Retrigger knows", async () => {
    await addCheck(model);
    await addRatings(model, 5);
    await model.sql(
      "UPDATE ratings_buffer SET ingested_at = ingested_at - interval '2 days' WHERE \"userId\" < 3",
    );
    const [id = ""] = (await read()).alerts.ids;
    await world.sql(
      `WITH decision AS (
         INSERT INTO retraining_decisions (run_id, model, decision, trainer, taken_at, newest_alert_at, alert_ids)
         VALUES (gen_random_uuid(), 'films', 'trigger', 'github', now() - interval '1 day', now(), $1) RETURNING id)
       INSERT INTO retraining_dispatches (decision_id, model_name, trainer, state, request, asked_at, ended_at)
       SELECT id, 'films', 'github', 'succeeded', '{}', now(), now() FROM decision`,
      [[id]],
    );
    expect(await read()).toMatchObject({
      alerts: { ids: [id], unanswered: 0, answeredBy: [{ alerts: 1 }] },
      buffer: { size: 5, grown: 3 },
    });
    const buffer = { ...sourcesOf().buffer, since: "lastTraining" } as const;
    expect((await read(sourcesOf({ buffer }))).buffer).toMatchObject({ size: 3, grown: 3 });
  });

  it("may be that of one part only", async () => {
    await addCheck(model);
    await database.saveGrowth("films", { rows: 8 });
    const source = sourcesOf({ buffer: { kind: "reported", unit: "rows", since: null } });
    expect(await read(source)).toMatchObject({ checks: { total: 1 }, buffer: { size: 8, unit: "rows" } });
    await addRatings(model, 5);
    const reported = sourcesOf({ checks: { kind: "reported" } });
    expect(await read(reported)).toMatchObject({ checks: { total: 0 }, buffer: { size: 5 } });
  });

  it("is not read later than the evidence says", async () => {
    const hold = await holdTable(model, "ratings_buffer");
    const reading = read();
    await hold.untilSessionWaits();
    const [waiting] = await world.sql<{ now: string }>("SELECT now()::text AS now");
    await hold.release();
    expect(Date.parse((await reading).takenAt)).toBeLessThan(Date.parse(waiting?.now ?? ""));
  });

  it("names its variable if something is wrong with it", async () => {
    const checks = { kind: "table", table: "nothing", columns: {}, where: {} } as const;
    const missing = await failureOf(read(sourcesOf({ checks })));
    expect(missing).toContain("The source database in FILMS_DATABASE_URL: Missing table");
    expect(missing).toContain("models.films.source.checks.table");
    const { parts } = await database.inspectSources(
      new Map([
        [
          "films",
          { source: sourcesOf({ checks }), policy: Policy.parse({ when: { driftAlerts: 1 }, guards: {} }) },
        ],
      ]),
    );
    expect(parts.flatMap(({ faults }) => faults)).toMatchObject([{ code: "MISSING_TABLE" }]);
    const urlOf = (change: (url: URL) => void) => {
      const url = new URL(model.config.databaseUrl);
      change(url);
      return sourcesOf({ database: { variable: "FILMS_DATABASE_URL", url: url.href } });
    };
    const away = urlOf((url) => (url.port = "1"));
    await expect(read(away)).rejects.toMatchObject({ code: "SOURCE_AWAY" });
    expect(await failureOf(read(away))).toContain("Start it, or correct FILMS_DATABASE_URL");
    const nowhere = urlOf((url) => (url.pathname = "/nowhere"));
    expect(await failureOf(read(nowhere))).toContain("Create it, or correct FILMS_DATABASE_URL");
  });
});

describe("the connections to such databases", () => {
  it("are few for each, and of too many databases those not used for longest are closed", async () => {
    const pools = createSourcePools(log, 2);
    const urlOf = (name: string): string => {
      const url = new URL(model.config.databaseUrl);
      url.searchParams.set("application_name", name);
      return url.href;
    };
    const use = (name: string): Promise<unknown> =>
      pools.withSource(urlOf(name), ({ pool }) =>
        Promise.all(Array.from({ length: 5 }, () => pool.query("SELECT pg_backend_pid()"))),
      );
    const untilOpen = (...names: string[]): Promise<unknown> =>
      until(`connections of ${names.join(", ")}`, async () => {
        const rows = await model.sql<{ name: string; count: number }>(
          `SELECT application_name AS name, count(*)::int FROM pg_stat_activity
           WHERE application_name LIKE 'pool-%' GROUP BY 1 ORDER BY 1`,
        );
        expect(rows.every(({ count }) => count <= 2)).toBe(true);
        return JSON.stringify(rows.map(({ name }) => name)) === JSON.stringify(names);
      });
    try {
      await use("pool-a");
      await use("pool-b");
      await use("pool-a");
      await untilOpen("pool-a", "pool-b");
      await use("pool-c");
      await untilOpen("pool-a", "pool-c");
      // One in use stays open.
      await pools.withSource(urlOf("pool-a"), async ({ pool }) => {
        await use("pool-d");
        await use("pool-e");
        await pool.query("SELECT 1");
      });
      await untilOpen("pool-a", "pool-e");
    } finally {
      await pools.close();
    }
    await untilOpen();
  });
});
