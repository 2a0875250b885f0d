import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { formatTime } from "../../src/core/format.ts";
import { timeZone } from "../../src/settings/schemas.ts";
import { addCheck, addRatings, createWorld, failureOf, until, type World } from "../support/world.ts";

let world: World;
afterEach(() => world.close());

describe("the edges of the criteria", () => {
  it("triggers at exactly 50,000 ratings and holds at 49,999", async () => {
    world = await createWorld();
    await world.startApp();
    await addCheck(world);
    await addRatings(world, 49_999);
    expect(await world.decide()).toMatchObject({ decision: "no_action", reason: "insufficient_buffer" });
    await addRatings(world, 1, null);
    expect(await world.decide()).toMatchObject({ decision: "trigger_mock", bufferSize: 50_000 });
  });

  it("needs two alerts if two are required", async () => {
    world = await createWorld({ settings: { MIN_ALERTS_TRIGGERED: "2", MIN_BUFFER_SIZE: "0" } });
    await world.startApp();
    await addCheck(world);
    expect(await world.decide()).toMatchObject({ reason: "no_drift_alerts" });
    await addCheck(world, { feature: "rating_mean" });
    expect(await world.decide()).toMatchObject({ decision: "trigger_mock", feature: "rating_mean" });
  });
});

describe("the lookback window", () => {
  const zoneOfProcess = process.env["TZ"];
  beforeEach(() => {
    process.env["TZ"] = "Pacific/Kiritimati";
  });
  afterEach(() => {
    if (zoneOfProcess === undefined) delete process.env["TZ"];
    else process.env["TZ"] = zoneOfProcess;
  });

  it("includes an alert one second inside, but not one on the edge or one second outside, whatever the time zone of the process", async () => {
    expect(new Date().getTimezoneOffset()).toBe(-14 * 60);
    world = await createWorld({ settings: { MIN_BUFFER_SIZE: "0" } });
    await world.startApp();
    // now() in a view is the time of the snapshot that reads it, so that these ages are exact.
    await world.sql("DROP TABLE drift_alerts");
    await world.sql(`CREATE VIEW drift_alerts AS
      SELECT 1 AS id, (now() AT TIME ZONE 'UTC') - age AS alert_date, age::text AS feature_name, 0.1 AS drift_score,
        0.05 AS threshold, true AS alert_triggered, NULL::text AS notes
      FROM (VALUES (interval '168:00:01'), ('168:00:00'), ('167:59:59')) AS ages (age)`);
    const { report, feature, criteria } = await world.decide();
    expect(feature).toBe("167:59:59");
    expect(criteria.map(({ actual }) => actual)).toEqual([1, 1, 0]);
    expect(report).not.toContain("168:00:0");
  });

  it("reads timestamps without a zone in the configured zone, and shows them in it", async () => {
    world = await createWorld({ settings: { MIN_BUFFER_SIZE: "0", SOURCE_TIME_ZONE: "Asia/Tokyo" } });
    await world.startApp();
    await world.sql(
      "INSERT INTO drift_alerts (alert_date, feature_name, alert_triggered) VALUES ((now() AT TIME ZONE 'Asia/Tokyo') - interval '167.99 hours', 'inside', true), ((now() AT TIME ZONE 'Asia/Tokyo') - interval '168.01 hours', 'outside', true)",
    );
    const { report, feature } = await world.decide();
    expect(feature).toBe("inside");
    expect(report).not.toContain("outside");
    const [row] = await world.sql<{ shown: string }>(
      "SELECT to_char(alert_date, 'YYYY-MM-DD HH24:MI') AS shown FROM drift_alerts WHERE feature_name = 'inside'",
    );
    expect(report).toContain(`${row?.shown} | inside`);
  });
});

describe("the configured time zone", () => {
  it("means the same to Postgres and to the reports under every accepted name", async () => {
    world = await createWorld();
    const isAccepted = (zone: string): boolean => timeZone.safeParse(zone).success;
    const known = await world.sql<{ name: string }>(
      "SELECT name FROM pg_timezone_names UNION SELECT abbrev FROM pg_timezone_abbrevs",
    );
    const names = [...new Set([...known.map(({ name }) => name), ...Intl.supportedValuesOf("timeZone")])];
    const zones = names.filter(isAccepted);
    expect(zones.length).toBeGreaterThan(400);
    const instants = ["2026-01-15T12:00:00Z", "2026-07-15T12:00:00Z"];
    const rows = await world.sql<{ zone: string; at: string; local: string }>(
      `SELECT zone, at, to_char(at::timestamptz AT TIME ZONE zone, 'YYYY-MM-DD HH24:MI') AS local
       FROM unnest($1::text[]) AS zone, unnest($2::text[]) AS at`,
      [zones, instants],
    );
    expect(rows).toHaveLength(zones.length * instants.length);
    expect(rows.filter(({ zone, at, local }) => formatTime(at, zone) !== local)).toEqual([]);
  });
});

describe("source tables", () => {
  it("may hold NULL and NaN everywhere", async () => {
    world = await createWorld({ settings: { MIN_BUFFER_SIZE: "0" } });
    await world.startApp();
    await addRatings(world, 10, null);
    await addRatings(world, 5, "batch_w1");
    await addCheck(world, { triggered: null, feature: null, score: null, threshold: null });
    await world.sql("INSERT INTO drift_alerts (alert_date) VALUES (NULL), ('infinity')");
    await addCheck(world, {
      feature: null,
      score: Number.NaN,
      threshold: Number.POSITIVE_INFINITY,
      age: "1 minute",
    });
    const summary = await world.decide();
    expect(summary).toMatchObject({
      decision: "trigger_mock",
      driftScore: null,
      feature: null,
      bufferSize: 15,
    });
    expect(summary.report).toContain("(no batch id): 10 ratings");
    expect(summary.report).toContain("Drift: N/A");
  });

  it("may be views with other types, in another schema, with an upper-case name", async () => {
    world = await createWorld({
      settings: {
        MIN_BUFFER_SIZE: "0",
        DRIFT_ALERTS_TABLE: "Monitoring.Alerts",
        RATINGS_BUFFER_TABLE: "Monitoring.buffer",
      },
    });
    await world.startApp();
    await addCheck(world, { age: "2 hours" });
    await addRatings(world, 3);
    await world.sql(`
      CREATE SCHEMA "Monitoring";
      CREATE VIEW "Monitoring"."Alerts" AS SELECT md5(id::text)::uuid AS id, alert_date AT TIME ZONE 'UTC' AS alert_date,
        feature_name::text, drift_score::numeric, threshold::real, alert_triggered, notes FROM drift_alerts;
      CREATE VIEW "Monitoring".buffer AS SELECT * FROM ratings_buffer`);
    expect(await world.decide()).toMatchObject({
      decision: "trigger_mock",
      driftScore: 0.0975,
      bufferSize: 3,
    });
    expect(await world.decide()).toMatchObject({ decision: "no_action", reason: "already_acted_on" });
  });

  it("may reuse ids, and may hold times of another type", async () => {
    world = await createWorld({ settings: { MIN_BUFFER_SIZE: "0", RATINGS_BUFFER_TABLE: "buffer" } });
    await world.startApp();
    await world.sql(
      'CREATE VIEW buffer AS SELECT to_timestamp("timestamp") AS timestamp, batch_id FROM ratings_buffer',
    );
    await addRatings(world, 3);
    await addCheck(world);
    expect(await world.decide()).toMatchObject({ decision: "trigger_mock", bufferSize: 3 });
    await world.sql("TRUNCATE drift_alerts RESTART IDENTITY");
    await addCheck(world, { age: "1 minute" });
    expect(await world.decide()).toMatchObject({ decision: "trigger_mock" });
    expect(await world.decide()).toMatchObject({ reason: "already_acted_on" });
  });

  it("may hold far more than a report shows: totals stay exact and results small", async () => {
    world = await createWorld({ settings: { MIN_BUFFER_SIZE: "0" } });
    await world.startApp();
    await world.sql(
      "INSERT INTO drift_alerts (alert_date, feature_name, drift_score, threshold, alert_triggered, notes) SELECT (now() AT TIME ZONE 'UTC') - make_interval(secs => n), repeat('f', 100), 1, 0.5, true, repeat('n', 5000) FROM generate_series(1, 5000) n",
    );
    await world.sql(
      "INSERT INTO ratings_buffer SELECT 1, 1, 1, n, 'batch_' || n FROM generate_series(1, 5000) n",
    );
    const summary = await world.decide();
    expect(summary.report).toContain("Triggered Alerts: 5,000");
    expect(summary.report).toContain("… and 4,950 more batches");
    const jobs = await world.redis.hget(`${world.config.redisPrefix}:act:${summary.runId}`, "returnvalue");
    expect(jobs?.length).toBeLessThan(64_000);
    expect(await world.decide()).toMatchObject({ reason: "already_acted_on" });
  });
});

describe("a decision that cannot be made", () => {
  it.each([
    [
      "ALTER TABLE drift_alerts RENAME TO elsewhere",
      "drift_alerts",
      "DRIFT_ALERTS_TABLE",
      "ALTER TABLE elsewhere RENAME TO drift_alerts",
    ],
    [
      "ALTER TABLE drift_alerts RENAME COLUMN alert_date TO checked",
      "models.default.source.checks.columns.checkedAt",
      "A view can supply the column",
      "ALTER TABLE drift_alerts RENAME COLUMN checked TO alert_date",
    ],
  ])(
    "after %s says what is missing and what to do, and is made once that is fixed and the job is retried in Bull Board",
    async (damage, name, remedy, repair) => {
      world = await createWorld({ settings: { MIN_BUFFER_SIZE: "0" } });
      await addCheck(world);
      const app = await world.startApp({ role: "all" });
      await world.sql(damage);
      const failure = await failureOf(world.decide());
      expect(failure).toContain(name);
      expect(failure).toContain(remedy);
      expect(await world.sql("SELECT * FROM retraining_decisions")).toEqual([]);

      await world.sql(repair);
      const runId = /run ([0-9a-f-]{36})/.exec(failure)?.[1] ?? "";
      const retry = `${app.address()}/queues/api/queues/gather/${runId}/retry`;
      expect((await fetch(retry, { method: "PUT", headers: { origin: app.address() ?? "" } })).status).toBe(
        204,
      );
      const rows = await until("the decision", async () => {
        const found = await world.sql("SELECT run_id, decision FROM retraining_decisions");
        return found.length > 0 ? found : null;
      });
      expect(rows).toEqual([{ run_id: runId, decision: "trigger_mock" }]);
    },
  );
});
