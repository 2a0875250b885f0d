import { readdir, readFile } from "node:fs/promises";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createDatabase } from "../../src/postgres/database.ts";
import { createLogger } from "../../src/process/logger.ts";
import { addCheck, createWorld, until, type World } from "../support/world.ts";

let world: World;
beforeEach(async () => {
  world = await createWorld({ settings: { MIN_BUFFER_SIZE: "0" } });
  await addCheck(world);
});
afterEach(() => world.close());

const databaseName = () => new URL(world.config.databaseUrl).pathname.slice(1);

/** Changes a setting for every session that starts from now on. */
async function setForSessions(name: string, value: string): Promise<void> {
  await world.sql(`ALTER DATABASE ${databaseName()} SET ${name} TO '${value}'`);
}

describe("an alert that started a training", () => {
  it.each([
    ["the time zone of the sessions", () => setForSessions("timezone", "Asia/Tokyo")],
    ["the date style of the sessions", () => setForSessions("datestyle", "SQL, DMY")],
    [
      "the column's type",
      () =>
        world.sql(
          "ALTER TABLE drift_alerts ALTER COLUMN alert_date TYPE timestamptz USING alert_date AT TIME ZONE 'UTC'",
        ),
    ],
    [
      "the column's type and the time zone",
      async () => {
        await world.sql(
          "ALTER TABLE drift_alerts ALTER COLUMN alert_date TYPE timestamptz USING alert_date AT TIME ZONE 'UTC'",
        );
        await setForSessions("timezone", "America/New_York");
      },
    ],
    [
      "the column's type to a text",
      () => world.sql("ALTER TABLE drift_alerts ALTER COLUMN alert_date TYPE text"),
    ],
  ])("starts no second one after a change of %s", async (_, change) => {
    await world.startApp();
    expect((await world.decide()).decision).toBe("trigger_mock");
    await change();
    expect((await world.decide()).reason).toBe("already_acted_on");
    await world.stopApps();
    await world.startApp();
    expect((await world.decide()).reason).toBe("already_acted_on");
    // Another alert still counts as a new one.
    await addCheckNow();
    expect((await world.decide()).decision).toBe("trigger_mock");
  });

  it.each([
    ["without a zone", "alert_date::text", "timestamp"],
    ["with an offset", "(alert_date AT TIME ZONE 'UTC')::text", "timestamptz"],
  ])("keeps its meaning in decisions of earlier versions: %s", async (_, form, type) => {
    await world.startApp();
    expect((await world.decide()).decision).toBe("trigger_mock");
    await world.stopApps();
    await world.sql("SET timezone TO 'Europe/Paris'");
    // The row and its table as an earlier version left them.
    await world.sql(
      `UPDATE retraining_decisions SET alert_ids = ARRAY(SELECT id || '@' || ${form} FROM drift_alerts)`,
    );
    if (type === "timestamptz")
      await world.sql(
        "ALTER TABLE drift_alerts ALTER COLUMN alert_date TYPE timestamptz USING alert_date AT TIME ZONE 'UTC'",
      );
    await rerunMigrations();
    await world.startApp();
    expect((await world.decide()).reason).toBe("already_acted_on");
  });

  it("starts no second one after SOURCE_TIME_ZONE was corrected", async () => {
    await world.startApp();
    expect((await world.decide()).decision).toBe("trigger_mock");
    await world.stopApps();
    await world.startApp({ timeZone: "Europe/Berlin" });
    expect((await world.decide()).reason).toBe("already_acted_on");
  });

  it("is read by two runs at once although its time is a text", async () => {
    await world.sql("ALTER TABLE drift_alerts ALTER COLUMN alert_date TYPE text");
    const database = createDatabase(world.config, createLogger("silent"));
    try {
      await database.migrate();
      const [own] = world.config.models.values();
      if (!own) throw new Error("The settings name no model");
      const read = () => database.fetchEvidence("default", own);
      const both = await Promise.all([read(), read()]);
      expect(both.map(({ checks }) => checks.triggered)).toEqual([1, 1]);
    } finally {
      await database.close();
    }
  });

  it("is not missed if its time lies in the future", async () => {
    await world.sql("DELETE FROM drift_alerts");
    await addCheck(world, { age: "-30 days" });
    await world.startApp();
    expect((await world.decide()).decision).toBe("trigger_mock");
    await world.sql(`UPDATE retraining_decisions SET decision_date = decision_date - interval '20 days'`);
    expect((await world.decide()).reason).toBe("already_acted_on");
  });
});

async function addCheckNow(): Promise<void> {
  const [column] = await world.sql<{ type: string }>(
    "SELECT data_type AS type FROM information_schema.columns WHERE table_name = 'drift_alerts' AND column_name = 'alert_date'",
  );
  const isText = column?.type === "text";
  const now = column?.type === "timestamp with time zone" ? "now()" : "now() AT TIME ZONE 'UTC'";
  await world.sql(
    `INSERT INTO drift_alerts (alert_date, feature_name, drift_score, threshold, alert_triggered)
     VALUES ((${now})${isText ? "::text" : ""}, 'rating_mean', 0.2, 0.1, true)`,
  );
}

/** Reverts the migrations from 004 on, so that they run again on the existing rows. */
async function rerunMigrations(): Promise<void> {
  const directory = "src/postgres/migrations";
  const files = (await readdir(directory)).filter((file) => file >= "004").toSorted();
  for (const file of files.toReversed()) {
    const text = await readFile(`${directory}/${file}`, "utf8");
    await world.sql(text.split("-- Down Migration")[1] ?? "");
  }
  await world.sql("DELETE FROM retrigger_migrations WHERE name >= '004'");
  await until("the migration is reverted", async () => {
    const columns = await world.sql(
      "SELECT FROM information_schema.columns WHERE table_name = 'retraining_events' AND column_name = 'decision_id'",
    );
    return columns.length === 0;
  });
}
