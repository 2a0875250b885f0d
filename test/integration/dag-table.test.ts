import { afterEach, describe, expect, it } from "vitest";
import { createDatabase } from "../../src/postgres/database.ts";
import { createLogger } from "../../src/process/logger.ts";
import { addCheck, addRatings, createWorld, failureOf, holdTable, type World } from "../support/world.ts";

let world: World;
afterEach(() => world.close());

const DAG_TABLE = `
  CREATE TABLE retraining_decisions (
    id SERIAL PRIMARY KEY,
    decision_date TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
    decision VARCHAR(20),
    reason TEXT,
    buffer_size INTEGER,
    drift_score FLOAT,
    notes TEXT
  );
  INSERT INTO retraining_decisions (decision_date, decision, reason, buffer_size, drift_score, notes) VALUES
    ('2025-12-19 09:45:00', 'no_action', 'insufficient_buffer', 300000, NULL, 'No retraining needed.'),
    ('2025-12-20 10:15:00', 'no_action', NULL, 500000, NULL, NULL),
    (NULL, NULL, NULL, NULL, 'NaN', NULL),
    ('2025-12-21 15:30:00', 'trigger_mock', 'drift_detected', 700000, 0.0975, 'MOCK: Would trigger GitHub Actions.')`;

/** The guide's own queries on decisions, alerts and buffer. */
const GUIDE_QUERIES = [
  "SELECT * FROM retraining_decisions ORDER BY decision_date DESC",
  "SELECT * FROM retraining_decisions ORDER BY decision_date DESC LIMIT 1",
  "SELECT * FROM drift_alerts WHERE alert_triggered = TRUE",
  "SELECT * FROM drift_alerts WHERE alert_triggered = TRUE ORDER BY alert_date DESC LIMIT 3",
  "SELECT COUNT(*) as total_ratings, COUNT(DISTINCT batch_id) as num_batches FROM ratings_buffer",
];

describe("a database with decisions of the DAG", () => {
  it("keeps the DAG's rows, shows them in the report, and supports every query of the guide", async () => {
    world = await createWorld({ settings: { MIN_BUFFER_SIZE: "1" }, isUnmigrated: true });
    await world.sql(DAG_TABLE);
    const before = await world.sql("SELECT * FROM retraining_decisions ORDER BY id");
    await world.startApp();
    const columns =
      "id, decision_date, decision, reason, buffer_size::int AS buffer_size, drift_score, notes";
    expect(await world.sql(`SELECT ${columns} FROM retraining_decisions ORDER BY id`)).toEqual(before);

    await addCheck(world);
    await addRatings(world, 3);
    const summary = await world.decide();
    expect(summary).toMatchObject({ decision: "trigger_mock", decisionId: 5 });
    expect(summary.report).toContain(
      "🚨 2025-12-21 15:30 | trigger_mock    | Buffer: 700,000 | Drift: 0.0975",
    );
    expect(summary.report).toContain("✅ 2025-12-20 10:15 | no_action       | Buffer: 500,000 | Drift: N/A");
    expect(summary.report).toContain("✅ (no date)        | (unknown)       | Buffer: N/A | Drift: N/A");
    for (const query of GUIDE_QUERIES) expect((await world.sql(query)).length, query).toBeGreaterThan(0);
    const [latest] = await world.sql(
      "SELECT * FROM retraining_decisions ORDER BY decision_date DESC NULLS LAST LIMIT 1",
    );
    expect(latest).toMatchObject({
      id: 5,
      decision: "trigger_mock",
      reason: "drift_detected",
      buffer_size: "3",
      drift_score: 0.0975,
    });
  });

  it("treats a decision that the DAG makes during a run as the newer one", async () => {
    world = await createWorld({ settings: { MIN_BUFFER_SIZE: "1" }, isUnmigrated: true });
    await world.sql(DAG_TABLE);
    await world.startApp();
    await addCheck(world);
    await addRatings(world, 3);
    const lock = await holdTable(world, "ratings_buffer");
    const deciding = world.decide();
    await lock.untilSessionWaits();
    // Gather has already taken its snapshot, and waits for the buffer table.
    await world.sql("INSERT INTO retraining_decisions (decision, reason) VALUES ('no_action', 'by the DAG')");
    await lock.release();
    const summary = await deciding;
    const rows = await world.sql(
      "SELECT id, reason, previous_id FROM retraining_decisions WHERE id > 4 ORDER BY id",
    );
    expect(summary.decision).toBe("trigger_mock");
    expect(rows.at(-1)).toMatchObject({ reason: "drift_detected", previous_id: 5 });
    expect(rows).toHaveLength(2);
    const listed = "SELECT code, decision_id AS id FROM retraining_decision_reasons WHERE decision_id > 4";
    expect(await world.sql(`${listed} ORDER BY id`)).toEqual([
      { code: "by the DAG", id: 5 },
      { code: "drift_detected", id: 6 },
    ]);
    await world.sql("DELETE FROM retraining_decisions WHERE id > 4");
    expect(await world.sql(listed)).toEqual([]);
  });
});

describe("a decision table with rows whose ids were inserted by hand", () => {
  it("continues above the highest id, with one decision per event", async () => {
    world = await createWorld({ settings: { MIN_BUFFER_SIZE: "0" }, isUnmigrated: true });
    await world.sql(DAG_TABLE);
    await world.sql("INSERT INTO retraining_decisions (id, decision) VALUES (60, 'no_action')");
    await world.startApp();
    await addCheck(world);
    expect(await world.decide()).toMatchObject({ decision: "trigger_mock", decisionId: 61 });
    await world.sql(
      "INSERT INTO retraining_decisions (id, decision) VALUES (5000, 'no_action'), (62, 'no_action')",
    );
    expect(await world.decide()).toMatchObject({ reason: "already_acted_on", decisionId: 5001 });
    expect(await world.sql("SELECT 1 FROM retraining_decisions WHERE run_id IS NOT NULL")).toHaveLength(2);
  });
});

describe("migrations", () => {
  it("say what to do if a view depends on the DAG's table", async () => {
    world = await createWorld({ isUnmigrated: true });
    await world.sql(`${DAG_TABLE}; CREATE VIEW board AS SELECT buffer_size FROM retraining_decisions`);
    const database = createDatabase(world.config, createLogger("silent"));
    expect(await failureOf(database.migrate())).toContain(
      "Drop the view that depends on retraining_decisions",
    );
    await database.close();
  });

  it("say what to do if the user may not create tables", async () => {
    world = await createWorld({ isUnmigrated: true });
    const url = new URL(world.config.databaseUrl);
    const role = `reader${url.pathname.replace("/", "_")}`;
    await world.sql("REVOKE CREATE ON SCHEMA public FROM PUBLIC");
    await world.sql(`CREATE ROLE ${role} LOGIN PASSWORD 'reader'`);
    [url.username, url.password] = [role, "reader"];
    const database = createDatabase({ ...world.config, databaseUrl: url.href }, createLogger("silent"));
    const message = await failureOf(database.migrate());
    await database.close();
    await world.sql(`DROP ROLE ${role}`);
    expect(message).toContain("permission denied for schema public. Nothing was changed.");
    expect(message).toContain("as a user who may create tables");
  });

  it("run once when several processes start together", async () => {
    world = await createWorld({ isUnmigrated: true });
    const log = createLogger("silent");
    const databases = Array.from({ length: 4 }, () => createDatabase(world.config, log));
    const done = await Promise.all(databases.map((database) => database.migrate()));
    await Promise.all(databases.map((database) => database.close()));
    expect(done.flat()).toEqual([
      "001_decisions",
      "002_open_runs",
      "003_trainings",
      "004_codes_and_versions",
      "005_policies",
      "006_reports",
      "007_check_notes",
      "008_access",
      "009_pages",
      "010_owner_functions",
      "011_trust",
      "012_counters",
      "013_search_paths",
    ]);
  });
});
