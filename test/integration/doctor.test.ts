import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import pg from "pg";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { stringify } from "yaml";
import { type Config, parseConfig } from "../../src/config/config.ts";
import { findModel } from "../../src/config/find-model.ts";
import { renderFindings as renderFindingsOf } from "../../src/core/report/findings.ts";
import { createDatabase, type Database } from "../../src/postgres/database.ts";
import { createLogger } from "../../src/process/logger.ts";
import { diagnose } from "../../src/use-cases/doctor/doctor.ts";
import { renderFindings } from "../../src/use-cases/doctor/render.ts";
import { suggestViews } from "../../src/use-cases/doctor/suggest-view.ts";
import { explainModel } from "../../src/use-cases/why.ts";
import { withDatabase } from "../support/database-url.ts";
import { runScript } from "../support/process.ts";
import { addCheck, addRatings, createWorld, holdTable, type World } from "../support/world.ts";

let world: World;
let folder: string;
let fileCount = 0;

async function settingsOf(models: object): Promise<Record<string, string>> {
  fileCount += 1;
  const path = join(folder, `${fileCount}.yaml`);
  await writeFile(path, stringify({ models }, { aliasDuplicateObjects: false }));
  return { ...world.settings, RETRIGGER_CONFIG: path };
}

async function configOf(models: object, settings: Record<string, string> = {}): Promise<Config> {
  return parseConfig({ ...(await settingsOf(models)), ...settings });
}

const log = createLogger("silent");

/** What `retrigger doctor` prints with a file that has these models. */
async function doctor(models: object, settings?: Record<string, string>) {
  const config = await configOf(models, settings);
  const findings = await diagnose(config, log, { checksAllTrainers: false });
  const lines = renderFindings(findings, { models: config.models.size, showsAll: false });
  return {
    stdout: `${lines.join("\n")}\n`,
    code: findings.some(({ level }) => level === "fault") ? 1 : 0,
  };
}

async function withStore<T>(
  models: object,
  use: (database: Database, config: Config) => Promise<T>,
): Promise<T> {
  const config = await configOf(models);
  const database = createDatabase(config, log);
  try {
    return await use(database, config);
  } finally {
    await database.close();
  }
}

/** What `retrigger doctor --suggest-view` prints. */
async function suggest(models: object): Promise<string> {
  return withStore(models, async (database, config) => (await suggestViews(config, database)).join("\n"));
}

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "doctor-"));
  world = await createWorld();
  await withStore({ default: {} }, (database) => database.migrate());
  await world.sql(`
    CREATE SCHEMA films;
    CREATE TABLE films.drift_log (no BIGINT, model TEXT, metric TEXT, value NUMERIC, "limit" REAL, fired INTEGER, created_at TIMESTAMPTZ);
    CREATE TABLE films.events (model TEXT, event_time TIMESTAMPTZ, loaded_at TIMESTAMPTZ);
    INSERT INTO films.drift_log SELECT n, 'films', 'ks', 0.2, 0.1, 1, now() - n * interval '1 hour' FROM generate_series(1, 12) AS n;
    INSERT INTO films.drift_log SELECT n, 'books', 'ks', 0.2, 0.1, 0, now() - n * interval '1 day' FROM generate_series(1, 3) AS n;
    INSERT INTO films.events SELECT 'films', now() - n * interval '1 day', now() FROM generate_series(0, 4) AS n;
  `);
});
afterAll(async () => {
  await world.close();
  await rm(folder, { recursive: true });
});

const CHECKS = {
  table: "films.drift_log",
  columns: {
    id: "no",
    checkedAt: "created_at",
    feature: "metric",
    score: "value",
    threshold: "limit",
    triggered: "fired",
  },
};
const BUFFER = {
  table: "films.events",
  unit: "events",
  columns: { batch: null, time: "event_time", ingestedAt: "loaded_at" },
};
const ofModel = (name: string) => ({
  checks: { ...CHECKS, where: { model: name } },
  buffer: { ...BUFFER, where: { model: name } },
});

describe("retrigger doctor, per model", () => {
  it("counts the rows of each model and its newest check, and suggests an index until there is one", async () => {
    const models = { films: { source: ofModel("films") }, books: { source: ofModel("books") } };
    const before = await doctor(models);
    expect(before.code).toBe(0);
    const [latest] = await world.sql<{ newest: string }>(
      `SELECT to_char(max(created_at) AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI') AS newest FROM films.drift_log`,
    );
    expect(before.stdout).toContain(
      `✅ films: films.drift_log has 12 checks, the newest of ${latest?.newest} UTC`,
    );
    expect(before.stdout).toContain("✅ books: films.drift_log has 3 checks");
    expect(before.stdout).toMatch(/✅ films: films.events has 5 events, the newest of /);
    expect(before.stdout).toContain("✅ books: films.events has 0 events\n");
    const [, create = ""] =
      /films: films.drift_log has no index .*(CREATE INDEX .*)/.exec(before.stdout) ?? [];
    expect(create).toBe('CREATE INDEX CONCURRENTLY ON "films"."drift_log" ("model", "created_at")');

    await world.sql(create);
    const after = await doctor(models);
    expect(after.stdout).toMatch(/has 12 checks, .* found by the index drift_log_model_created_at_idx/);
    expect(after.stdout).not.toContain("CREATE INDEX");
    await world.sql("DROP INDEX films.drift_log_model_created_at_idx");
  });

  it("warns about a missing index on a table that is not small", async () => {
    await world.sql(`CREATE TABLE large (alert_date TIMESTAMP, alert_triggered BOOLEAN); INSERT INTO large (alert_date, alert_triggered)
      SELECT now(), false FROM generate_series(1, 10000)`);
    const { stdout, code } = await doctor({
      default: { source: { checks: { table: "large" } } },
    });
    expect(code).toBe(0);
    expect(stdout).toContain(
      '⚠️  default: large has no index that serves the query for recent checks\n   → CREATE INDEX CONCURRENTLY ON "public"."large" ("alert_date")',
    );
    await world.sql(
      "CREATE INDEX ON large (alert_date) WHERE alert_date IS NOT NULL; CREATE VIEW large_view AS SELECT * FROM large",
    );
    const view = await doctor({ default: { source: { checks: { table: "large_view" } } } });
    expect(view.stdout).toContain("found by the index large_alert_date_idx");
    await world.sql("DROP TABLE large CASCADE");
  });

  it("names the model, the place and the nearest name that exists", async () => {
    const { stdout, code } = await doctor({
      films: {
        source: { checks: { ...CHECKS, columns: { ...CHECKS.columns, score: "vlaue" } }, buffer: BUFFER },
      },
      books: { source: { checks: { table: "films.drift_lgo" }, buffer: BUFFER } },
      songs: { source: { checks: { table: "films.drift_log" }, buffer: BUFFER } },
    });
    expect(code).toBe(1);
    expect(stdout).toMatch(
      /❌ models\.films\.source\.checks\.columns\.score: films\.drift_log has no column vlaue \(it has .*\)\n {3}→ Did you mean value\?/,
    );
    expect(stdout).toMatch(
      /❌ models\.books\.source\.checks\.table: the table or view films\.drift_lgo does not exist\n {3}→ Did you mean films\.drift_log\?/,
    );
    expect(stdout).toMatch(
      /❌ models\.songs\.source\.checks\.columns\.checkedAt: .*\n {3}→ Did you mean created_at\?/,
    );
  });

  it("names what is wrong with a view of outcomes", async () => {
    const models = { search: { outcomes: { view: "search_results" } } };
    const faults = async (settings = {}) => {
      const findings = await diagnose(await configOf(models, settings), log, { checksAllTrainers: false });
      return findings.filter(({ text }) => text.includes("search_results"));
    };
    const place = { level: "fault", model: "search", place: "outcomes.view" };
    expect(await faults()).toMatchObject([
      { ...place, text: expect.stringContaining("the view search_results does not exist") as string },
    ]);
    await world.sql("CREATE VIEW search_results AS SELECT 1 AS decision_id, 'auc' AS metric, 0.8 AS before");
    expect(await faults()).toMatchObject([
      { ...place, text: expect.stringContaining("search_results has no column after") as string },
    ]);
    await world.sql(
      "CREATE OR REPLACE VIEW search_results AS SELECT 1 AS decision_id, 'auc' AS metric, 0.8 AS before, 0.9 AS after",
    );
    expect(await faults()).toEqual([
      { level: "ok", model: "search", text: "search_results says what trainings brought" },
    ]);
    await world.sql("DROP VIEW search_results");
  });

  it("prints the grants for a role that may not read, and they suffice", async () => {
    const role = `Reader of ${world.config.redisPrefix.slice(1, -1)}`;
    const quoted = pg.escapeIdentifier(role);
    await world.sql(`CREATE ROLE ${quoted} LOGIN PASSWORD 'x'; GRANT pg_read_all_data TO ${quoted}; REVOKE pg_read_all_data FROM ${quoted};
      GRANT SELECT ON ALL TABLES IN SCHEMA public TO ${quoted}`);
    const url = new URL(world.config.databaseUrl);
    url.username = encodeURIComponent(role);
    url.password = "x";
    const models = { films: { source: ofModel("films") } };
    try {
      const refused = await doctor(models, { DATABASE_URL: url.href });
      expect(refused.code).toBe(1);
      const grants = refused.stdout.split("\n").filter((line) => line.includes("GRANT"));
      expect(grants.slice(0, 2)).toEqual([
        `   → GRANT USAGE ON SCHEMA "films" TO ${quoted}; GRANT SELECT ON "films"."drift_log" TO ${quoted};`,
        `   → GRANT USAGE ON SCHEMA "films" TO ${quoted}; GRANT SELECT ON "films"."events" TO ${quoted};`,
      ]);
      expect(grants).toContain(`   → GRANT INSERT ON "public"."retraining_decisions" TO ${quoted};`);
      await world.sql(grants.map((line) => line.replace("→", "")).join("\n"));
      const granted = await doctor(models, { DATABASE_URL: url.href });
      expect(granted.stdout).toContain("films: films.drift_log has 12 checks");
      expect(granted.code).toBe(0);
    } finally {
      await world.sql(`DROP OWNED BY ${quoted}; DROP ROLE ${quoted}`);
    }
  });

  it("reads a database of a model's own, and says which variable is wrong", async () => {
    const name = `${new URL(world.config.databaseUrl).pathname.slice(1)}_films`;
    await world.sql(`CREATE DATABASE ${name}`);
    const url = withDatabase(world.config.databaseUrl, name);
    try {
      const client = new pg.Client(url);
      await client.connect();
      await client.query("CREATE TABLE elsewhere (alert_date TIMESTAMP, alert_triggered BOOLEAN)");
      await client.end();
      const models = {
        films: {
          source: { checks: { table: "elsewhere" }, buffer: "reported", database: "FILMS_DATABASE_URL" },
        },
      };
      const found = await doctor(models, { FILMS_DATABASE_URL: url });
      expect(found.stdout).toContain("films: elsewhere has 0 checks");
      expect(found.code).toBe(0);
      const lost = await doctor(models, { FILMS_DATABASE_URL: `${url}_lost` });
      expect(lost.code).toBe(1);
      expect(lost.stdout).toMatch(/❌ films: The source database in FILMS_DATABASE_URL: .*does not exist/);
    } finally {
      await world.sql(`DROP DATABASE ${name} WITH (FORCE)`);
    }
  });

  it("gives the planner's estimate for a table that cannot be counted in time, and goes on", async () => {
    const held = await holdTable(world, "ratings_buffer");
    try {
      const { stdout, code } = await doctor({
        default: {},
        films: { source: ofModel("films") },
      });
      expect(code).toBe(0);
      expect(stdout).toContain(
        "default: ratings_buffer has ratings, but counting them would take longer than 2 s",
      );
      expect(stdout).toContain("films: films.drift_log has 12 checks");
    } finally {
      await held.release();
    }
  });
});

describe("retrigger doctor, on times", () => {
  it.each([
    [
      "TIMESTAMPTZ",
      "to_timestamp(1787900000000)",
      "fault",
      "up to the year 58626",
      "milliseconds that were taken for seconds",
    ],
    [
      "BIGINT",
      "extract(epoch FROM now())::bigint * 1000000",
      "fault",
      "read as the year",
      "These look like microseconds",
    ],
    [
      "BIGINT",
      "extract(epoch FROM now())::bigint / 86400",
      "warning",
      "read as 1970-01-01",
      "These look like days",
    ],
    ["BIGINT", "0", "warning", "0, read as 1970-01-01", "let it be NULL"],
    ["TIMESTAMP", "now() + interval '3 days'", "fault", "up to ", "Correct these rows"],
    ["TIMESTAMP", "'1999-12-31'", "warning", "from 1999-12-31 00:00 UTC", "Correct these rows"],
  ])("finds implausible ones: %s %s", async (type, value, level, text, remedy) => {
    await world.sql(`CREATE TABLE odd (at ${type}, hit BOOLEAN); INSERT INTO odd SELECT ${value}, true`);
    const { stdout, code } = await doctor({
      default: { source: { checks: { table: "odd", columns: { checkedAt: "at", triggered: "hit" } } } },
    });
    await world.sql("DROP TABLE odd");
    const at = stdout.split("\n").findIndex((line) => line.includes("default: at of odd holds times"));
    const [line = "", next = ""] = stdout.split("\n").slice(at);
    expect(line).toMatch(new RegExp(text));
    expect(line.startsWith(level === "fault" ? "❌" : "⚠️")).toBe(true);
    expect(next).toContain(remedy);
    expect(code).toBe(level === "fault" ? 1 : 0);
  });

  it("finds nothing wrong with milliseconds, nor with checks at midnight", async () => {
    await world.sql(`CREATE TABLE fine (at BIGINT, day DATE, hit BOOLEAN);
      INSERT INTO fine SELECT extract(epoch FROM now()) * 1000, current_date, true`);
    for (const checkedAt of ["at", "day"]) {
      const { stdout, code } = await doctor({
        default: { source: { checks: { table: "fine", columns: { checkedAt, triggered: "hit" } } } },
      });
      expect(code).toBe(0);
      expect(stdout).not.toContain("holds times");
      expect(stdout).toMatch(/fine has 1 check, the newest of 20\d\d-/);
    }
    await world.sql("DROP TABLE fine");
  });

  it.each(["TIMESTAMPTZ", "TIMESTAMP", "DATE", "BIGINT", "TEXT"])(
    "shows the date range of a buffer whose time is %s",
    async (type) => {
      const value = type === "BIGINT" ? "1764500000000" : "'2025-11-30 12:00'";
      await world.sql(`CREATE TABLE timed (at ${type}); INSERT INTO timed VALUES (${value})`);
      const models = {
        default: { source: { buffer: { table: "timed", columns: { time: "at", batch: null } } } },
      };
      const stdout = await withStore(models, async (database, config) => {
        const model = findModel(config.models, "default");
        const evidence = await database.fetchEvidence("default", model);
        return renderFindingsOf({ evidence, policy: model.policy, timeZone: "UTC" });
      });
      await world.sql("DROP TABLE timed");
      expect(stdout).toMatch(/(Ratings given from|From) 2025-11-30 \d\d:\d\d to 2025-11-30 \d\d:\d\d/);
    },
  );
});

describe("retrigger doctor --suggest-view", () => {
  it("prints views that run as printed, and that the doctor then reads", async () => {
    await world.sql(`CREATE TABLE "Odd log" (nr TEXT, metric TEXT, "value" TEXT, "limit" NUMERIC, fired TEXT, ts TEXT, tenant TEXT);
      INSERT INTO "Odd log" VALUES ('1', 'ks', '0.2', 0.1, 'yes', '2026-01-02 03:04:05+00', 'a')`);
    await world.sql(`ALTER TABLE "Odd log" RENAME TO odd_log`);
    const where = { tenant: "a" };
    const models = { default: { source: { checks: { table: "odd_log", where } } } };
    const stdout = await suggest(models);
    expect(stdout).toContain("-- is ts right?");
    expect(stdout).toContain("table: public.odd_log_for_retrigger, where: as before");
    await world.sql(stdout);
    const rows = await world.sql("SELECT * FROM odd_log_for_retrigger");
    expect(rows).toMatchObject([
      {
        alert_date: new Date("2026-01-02T03:04:05Z"),
        feature_name: "ks",
        drift_score: 0.2,
        threshold: 0.1,
        alert_triggered: true,
      },
    ]);
    const after = await doctor({
      default: { source: { checks: { table: "odd_log_for_retrigger", where } } },
    });
    expect(after.stdout).toContain(
      "default: odd_log_for_retrigger has 1 check, the newest of 2026-01-02 03:04 UTC",
    );
    await world.sql("DROP TABLE odd_log CASCADE");
  });

  it("says where a person must choose, and has nothing to say where nothing is missing", async () => {
    await world.sql("CREATE TABLE bare (colour TEXT, weight REAL)");
    const source = { checks: { table: "bare" }, buffer: "reported" };
    const stdout = await suggest({ default: { source } });
    expect(stdout).toContain(
      "NULL::timestamptz AS alert_date, -- CHOOSE a column or a value: without one, no check counts",
    );
    await world.sql(stdout);
    expect(await world.sql("SELECT * FROM bare_for_retrigger")).toEqual([]);
    expect(await suggest({ default: {} })).toBe("");
    await world.sql("DROP TABLE bare CASCADE");
  });
});

describe("a buffer that is not emptied", () => {
  it("is reported by the decision after the training, by why and by doctor, until it shrinks", async () => {
    const models = { default: { policy: { when: { all: [{ driftAlerts: 1 }, { bufferSize: 100 }] } } } };
    const config = await configOf(models);
    const explain = () => withStore(models, (database) => explainModel(config, database, "default"));
    await world.startApp({ models: config.models });
    await addCheck(world);
    await addRatings(world, 200);
    const first = await world.decide();
    expect(first.decision).toBe("trigger_mock");
    expect(first.explanation?.warnings).toEqual([]);
    expect((await doctor(models)).stdout).toContain(
      `⚠️  default: the buffer did not shrink after the training of decision #${first.decisionId} (200 ratings before, 200 now)`,
    );
    const second = await world.decide();
    const warnings = [
      {
        code: "buffer_did_not_shrink",
        text: `the buffer did not shrink after the training of decision #${first.decisionId} (200 ratings before, 200 now): the same ratings count again. Empty it after training, or set source.buffer.since: lastTraining`,
      },
    ];
    expect(second.explanation?.warnings).toEqual(warnings);
    expect(second.report).toContain("⚠️ Warning: the buffer did not shrink");
    expect(await explain()).toMatchObject({ warnings });

    await world.sql("DELETE FROM ratings_buffer");
    await world.decide();
    await addRatings(world, 300);
    expect(await explain()).toMatchObject({ warnings: [] });
    expect((await doctor(models)).stdout).not.toContain("did not shrink");
    await world.stopApps();
  });
});

describe("the states of models", () => {
  it("are shown if they are of interest", async () => {
    await world.sql(
      `INSERT INTO retraining_snoozes (model, until, reason, snoozed_by) VALUES ('films', now() + interval '1 day', 'moving', 'ana')`,
    );
    const { stdout, code } = await doctor({ films: { source: ofModel("films") } });
    expect(code).toBe(0);
    expect(stdout).toMatch(
      /⚠️ {2}films: snoozed until .* UTC by ana: moving\n {3}→ To end it earlier: npx retrigger unsnooze films/,
    );
    await world.sql("DELETE FROM retraining_snoozes");
  });
});

describe("retrigger doctor, for 2,000 models", () => {
  it("prints what is wrong on a page, and one model in full", async () => {
    const models = Object.fromEntries(
      Array.from({ length: 2_000 }, (_, n) => [
        `m${n}`,
        { source: { ...ofModel(`m${n}`), ...(n < 1_200 ? { checks: { table: "drift_alrets" } } : {}) } },
      ]),
    );
    const { stdout, code } = await doctor(models);
    expect(code).toBe(1);
    expect(stdout.trim().split("\n").length).toBeLessThan(20);
    expect(stdout).toContain("✅ 800 models are fine");
    expect(stdout).toContain(
      "❌ the table or view drift_alrets does not exist: 1,200 models, such as m0, m1, m2 (source.checks.table)\n   → Did you mean drift_alerts?",
    );
    const settings = await settingsOf(models);
    const one = await runScript("src/cli.ts", ["doctor", "--model", "m1500"], settings);
    expect(one.stdout).toContain("m1500: films.drift_log has 0 checks");
    expect(one.code).toBe(0);
  }, 60_000);

  it("groups faults that differ only in names, and stays on a page whatever is wrong", async () => {
    const models = Object.fromEntries(
      Array.from({ length: 300 }, (_, n) => [
        `m${n}`,
        { source: { checks: { table: `lost_${n}` }, buffer: { table: `gone${n % 30}.events` } } },
      ]),
    );
    const { stdout } = await doctor(models);
    expect(stdout.trim().split("\n").length).toBeLessThanOrEqual(40);
    expect(stdout).toContain(
      "❌ the table or view lost_0 does not exist, and 299 more like it: 300 models, such as m0, m1, m2 (source.checks.table)",
    );
    expect(stdout).not.toContain("are fine");
  });
});
