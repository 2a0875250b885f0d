import type { Socket } from "node:net";
import pg from "pg";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { parseConfig } from "../../src/config/config.ts";
import { createDatabase, type Database } from "../../src/postgres/database.ts";
import { OWN_TABLES } from "../../src/postgres/own-tables.ts";
import { createLogger } from "../../src/process/logger.ts";
import { diagnosePostgres } from "../../src/use-cases/doctor/postgres.ts";
import { queryOnce } from "../support/database-url.ts";
import { MAIN_PATH_SETTINGS, takeMainPath } from "../support/main-path.ts";
import { runScript } from "../support/process.ts";
import { readSqlBlocks } from "../support/sql-blocks.ts";
import { createWorld, failureOf, holdTable, until, type World } from "../support/world.ts";

const ROLES = ["retrigger_owner", "retrigger_writer", "retrigger_pruner"] as const;
type Role = (typeof ROLES)[number];

/** The statements that the documentation has for a superuser, and for the owner about the writer and the pruner. */
const [FOR_SUPERUSER = "", FOR_WRITER = "", FOR_PRUNER = ""] = await readSqlBlocks(
  "docs/operations.md",
  "### Roles",
);

let world: World;
let suffix: string;

beforeEach(async () => {
  world = await createWorld({
    settings: { ...MAIN_PATH_SETTINGS, RETRIGGER_SCHEMA: "retrigger" },
    isUnmigrated: true,
  });
  suffix = new URL(world.config.databaseUrl).pathname.slice("/test".length);
  // What every role has by default is not needed either.
  await world.sql(`REVOKE TEMPORARY ON DATABASE test${suffix} FROM PUBLIC`);
  await world.sql(
    named(
      `${FOR_SUPERUSER} ALTER DEFAULT PRIVILEGES FOR ROLE retrigger_owner REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;`,
    ) + ROLES.map((role) => `ALTER ROLE ${role}${suffix} PASSWORD '${role}';`).join("\n"),
  );
});
afterEach(async () => {
  for (const role of ROLES)
    await world.sql(`DROP OWNED BY ${role}${suffix} CASCADE; DROP ROLE ${role}${suffix}`);
  await world.close();
});

/** The roles of this test: those of the documentation would be the same in every database of the server. */
function named(sql: string): string {
  return sql.replaceAll(/retrigger_(?:owner|writer|pruner)\b/g, (role) => `${role}${suffix}`);
}

function settingsOf(role: Role): Record<string, string> {
  const url = new URL(world.config.databaseUrl);
  [url.username, url.password] = [`${role}${suffix}`, role];
  return { ...world.settings, DATABASE_URL: url.href };
}

async function withDatabase<T>(role: Role, use: (database: Database) => Promise<T>): Promise<T> {
  const database = createDatabase(parseConfig(settingsOf(role)), createLogger("silent"));
  try {
    return await use(database);
  } finally {
    await database.close();
  }
}

const asOwner = (sql: string) => queryOnce(settingsOf("retrigger_owner")["DATABASE_URL"] ?? "", sql);

describe("the roles of the documentation", () => {
  it("take a model from an event to pruned decisions, the service without owning anything", async () => {
    const migrated = await runScript("src/cli.ts", ["migrate"], settingsOf("retrigger_owner"));
    expect(migrated).toMatchObject({ code: 0, stderr: "" });
    await asOwner(named(FOR_WRITER));
    await asOwner(named(FOR_PRUNER));
    const rights = await world.sql<{ name: string; rights: string[] }>(
      `SELECT table_name AS name, array_agg(privilege_type::text) AS rights FROM information_schema.role_table_grants
       WHERE grantee = $1 AND table_schema = 'retrigger' GROUP BY 1`,
      [`retrigger_writer${suffix}`],
    );
    const sorted = (found: readonly string[]) => found.toSorted();
    expect(Object.fromEntries(rights.map((row) => [row.name, sorted(row.rights)]))).toEqual(
      Object.fromEntries(Object.entries(OWN_TABLES).map(([name, own]) => [name, sorted(own)])),
    );
    await takeMainPath(world, settingsOf("retrigger_writer"), settingsOf("retrigger_pruner"));
  });

  it("leave no statement behind whose process is gone", async () => {
    await withDatabase("retrigger_owner", (database) => database.migrate());
    await asOwner(named(FOR_WRITER));
    await world.sql(named("ALTER ROLE retrigger_writer SET client_connection_check_interval = '1s'"));
    const hold = await holdTable(world, "retraining_snoozes");
    const client = new pg.Client(settingsOf("retrigger_writer")["DATABASE_URL"]);
    client.on("error", () => {});
    await client.connect();
    const waiting = client.query("SELECT FROM retrigger.retraining_snoozes").catch(() => {});
    await hold.untilSessionWaits();
    // As if the process were killed.
    (client as unknown as { connection: { stream: Socket } }).connection.stream.destroy();
    await waiting;
    await until("the session is gone", async () => {
      const sessions = await world.sql("SELECT FROM pg_stat_activity WHERE usename = $1", [
        named("retrigger_writer"),
      ]);
      return sessions.length === 0;
    });
    await hold.release();
  });

  it("are told by doctor which grants are missing, and these suffice", async () => {
    await withDatabase("retrigger_owner", (database) => database.migrate());
    const config = parseConfig(settingsOf("retrigger_writer"));
    const diagnose = () =>
      withDatabase("retrigger_writer", async (database) => {
        const findings = await diagnosePostgres(config, database);
        return findings.filter(({ level }) => level === "fault");
      });
    await asOwner(named("REVOKE USAGE ON SCHEMA retrigger FROM retrigger_writer"));
    await world.sql(named("REVOKE SELECT ON drift_alerts FROM retrigger_writer"));
    const faults = await diagnose();
    const grants = faults.flatMap(({ remedy = "" }) => (remedy.startsWith("GRANT") ? [remedy] : []));
    expect(grants).toContain(
      `GRANT SELECT, INSERT ON "retrigger"."retraining_decisions" TO "${named("retrigger_writer")}";`,
    );
    expect(grants.every((grant) => !grant.includes("\n"))).toBe(true);
    for (const grant of grants) await world.sql(grant);
    expect(await diagnose()).toEqual([]);
  });
});

describe("a role without a right", () => {
  it("that may not create the schema gets the statement to run", async () => {
    await world.sql("DROP SCHEMA retrigger");
    const writer = named("retrigger_writer");
    const message = await failureOf(withDatabase("retrigger_writer", (database) => database.migrate()));
    expect(message).toContain("Nothing was changed");
    const statement = `CREATE SCHEMA "retrigger" AUTHORIZATION "${writer}";`;
    expect(message).toContain(statement);
    await world.sql(statement);
    await withDatabase("retrigger_writer", (database) => database.migrate());
  });

  it("that may not create tables starts with one line and the grant to run", async () => {
    const { code, stderr, stdout } = await runScript("src/main.ts", [], {
      ...settingsOf("retrigger_writer"),
      LOG_LEVEL: "fatal",
    });
    const statement = `GRANT USAGE, CREATE ON SCHEMA "retrigger" TO "${named("retrigger_writer")}";`;
    expect({ code, lines: (stdout + stderr).trim().split("\n") }).toEqual({
      code: 1,
      lines: [expect.stringContaining(statement)],
    });
  });

  it("reads in each error which grant is missing, on our tables and on the sources", async () => {
    await withDatabase("retrigger_owner", (database) => database.migrate());
    await asOwner(named(FOR_WRITER));
    const writer = named("retrigger_writer");
    await asOwner(`REVOKE INSERT ON retrigger.retraining_snoozes FROM ${writer}`);
    const snoozing = withDatabase("retrigger_writer", (database) =>
      database.saveSnooze({ model: "default", forSeconds: 60, reason: "a test", by: "a test" }),
    );
    expect(await failureOf(snoozing)).toMatch(
      new RegExp(
        `${writer} has no privilege in .*: permission denied for table retraining_snoozes. Run as the owner of Retrigger's tables: ` +
          `GRANT INSERT ON "retrigger"."retraining_snoozes" TO "${writer}";$`,
      ),
    );
    await world.sql(`REVOKE SELECT ON ratings_buffer FROM ${writer}`);
    await world.startApp(parseConfig(settingsOf("retrigger_writer")));
    expect(await failureOf(world.decide())).toContain(
      `Run as its owner: GRANT SELECT ON "ratings_buffer" TO "${writer}";`,
    );
  });

  it("that runs the service and prunes is sent to the role for that", async () => {
    await withDatabase("retrigger_owner", (database) => database.migrate());
    await asOwner(named(FOR_WRITER));
    await world.sql(
      `INSERT INTO retraining_events (model, event_run_id, job_key, payload, outcome, received_at)
       VALUES ('default', 'old', 'old', '{}', 'drift_run_failed', now() - interval '1 year')`,
    );
    const { code, stderr } = await runScript(
      "src/cli.ts",
      ["prune", "--before", "180d"],
      settingsOf("retrigger_writer"),
    );
    expect(stderr).toContain("permission denied for table");
    expect(stderr).toContain("docs/operations.md#roles");
    expect(code).toBe(1);
  });
});
