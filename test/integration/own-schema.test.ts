import pg from "pg";
import { afterEach, describe, expect, it } from "vitest";
import { createDatabase } from "../../src/postgres/database.ts";
import { OWN_TABLES } from "../../src/postgres/own-tables.ts";
import { createLogger } from "../../src/process/logger.ts";
import { MAIN_PATH_SETTINGS, takeMainPath } from "../support/main-path.ts";
import { DAG_TABLE } from "../support/pooled-world.ts";
import { createWorld, type World } from "../support/world.ts";

let world: World;
afterEach(() => world.close());

// A word of SQL: a schema of this name must be quoted.
const SCHEMA = "order";

async function migrate(): Promise<void> {
  const database = createDatabase(world.config, createLogger("silent"));
  await database.migrate();
  await database.close();
}

describe("RETRIGGER_SCHEMA", () => {
  it("holds everything that the migrations create, and every function finds it there", async () => {
    world = await createWorld({ settings: { RETRIGGER_SCHEMA: SCHEMA }, isEmpty: true });
    await migrate();
    const objects = await world.sql<{ schema: string; name: string; kind: string }>(
      `SELECT nspname AS schema, relname AS name, relkind::text AS kind FROM pg_class
       JOIN pg_namespace ON pg_namespace.oid = relnamespace WHERE nspname !~ '^pg_' AND nspname <> 'information_schema'`,
    );
    expect([...new Set(objects.map(({ schema }) => schema))]).toEqual([SCHEMA]);
    const tables = objects.filter(({ kind }) => kind === "r").map(({ name }) => name);
    expect(tables.toSorted()).toEqual(Object.keys(OWN_TABLES).toSorted());
    const functions = await world.sql<{ name: string; path: string | null; body: string }>(
      `SELECT proname AS name, array_to_string(proconfig, ';') AS path, prosrc AS body FROM pg_proc
       JOIN pg_namespace ON pg_namespace.oid = pronamespace WHERE nspname = $1 AND prosrc ~ 'retraining_' ORDER BY 1`,
      [SCHEMA],
    );
    // Those that look up nothing outside pg_catalog name the schema with each table.
    const isAtHome = ({ path, body }: (typeof functions)[number]): boolean =>
      path === "search_path=pg_catalog, pg_temp"
        ? body.includes(`"${SCHEMA}"`) && !/(?<![.\w])retraining_\w+/.test(body)
        : path === `search_path="${SCHEMA}", pg_temp`;
    expect(functions.filter((each) => !isAtHome(each))).toEqual([]);
    expect(functions.length).toBeGreaterThan(3);
  });

  it("takes a model from an event to pruned decisions, beside the DAG's table, which it leaves alone", async () => {
    world = await createWorld({
      settings: { ...MAIN_PATH_SETTINGS, RETRIGGER_SCHEMA: SCHEMA },
      isUnmigrated: true,
    });
    await world.sql(DAG_TABLE.replace("retraining_decisions", "public.retraining_decisions"));
    await world.sql("INSERT INTO public.retraining_decisions (decision) VALUES ('no_action')");
    const ofDag = () => world.sql("SELECT * FROM public.retraining_decisions");
    const before = await ofDag();
    await migrate();
    await takeMainPath(world, world.settings);
    expect(await ofDag()).toEqual(before);
    expect(Object.keys(before[0] ?? {})).toHaveLength(7);
  });

  it("is the place of what is reported too", async () => {
    world = await createWorld({ settings: { RETRIGGER_SCHEMA: SCHEMA }, isUnmigrated: true });
    await migrate();
    const database = createDatabase(world.config, createLogger("silent"));
    const source = {
      checks: { kind: "reported" },
      buffer: { kind: "reported", unit: "rows", since: null },
    } as const;
    const [model] = [...world.config.models.values()];
    if (!model) throw new Error("The settings name no model");
    const config = { ...model, source: { ...source, database: null } };
    await database.saveChecks("default", [{ feature: "ks", score: 0.3, threshold: 0.2, triggered: true }], {
      runId: null,
      source: null,
    });
    const inspection = await database.inspectSources(new Map([["default", config]]));
    await database.close();
    expect(inspection.parts).toMatchObject([
      {
        faults: [],
        table: { table: `${SCHEMA}.retraining_reported_checks` },
        measured: { rows: { count: 1 } },
      },
      {
        faults: [],
        table: { table: `${SCHEMA}.retraining_reported_growth` },
        measured: { rows: { count: 0 } },
      },
    ]);
  });
});

describe("without RETRIGGER_SCHEMA", () => {
  it("the search path may lead to a schema with any name", async () => {
    world = await createWorld({ isEmpty: true });
    const schema = `My "films" $$ it's`;
    const name = new URL(world.config.databaseUrl).pathname.slice(1);
    await world.sql(`CREATE SCHEMA ${pg.escapeIdentifier(schema)};
      ALTER DATABASE ${name} SET search_path = ${pg.escapeIdentifier(schema)}, public`);
    await migrate();
    const functions = await world.sql<{ body: string; home: string }>(
      `SELECT prosrc AS body, pronamespace::regnamespace::text AS home FROM pg_proc WHERE proname LIKE 'retrigger%'`,
    );
    expect(new Set(functions.map(({ home }) => home))).toEqual(new Set([pg.escapeIdentifier(schema)]));
    expect(functions.filter(({ body }) => body.includes("__schema__"))).toEqual([]);
    await world.sql(`SET search_path = ${pg.escapeIdentifier(schema)};
      INSERT INTO retraining_decisions (decision, reason, reason_codes) VALUES ('no_action', 'cooldown', ARRAY['cooldown']);
      INSERT INTO retraining_buffer_counters (table_oid, table_name, shape, filled_at) VALUES (1, 'gone', '{}', now());
      SELECT retrigger_counter_problem(counter) FROM retraining_buffer_counters AS counter`);
  });

  it("a function that somebody else left there is not taken for ours", async () => {
    world = await createWorld({ isEmpty: true });
    const stranger = `stranger${new URL(world.config.databaseUrl).pathname.slice("/test".length)}`;
    await world.sql(`CREATE ROLE ${stranger};
      CREATE FUNCTION retrigger_lock_counter(counter BIGINT) RETURNS VOID LANGUAGE sql AS 'SELECT';
      ALTER FUNCTION retrigger_lock_counter OWNER TO ${stranger}`);
    await expect(migrate()).rejects.toThrow(
      `the function retrigger_lock_counter belongs to ${stranger}. Nothing was changed. If ${stranger} owns Retrigger's tables, migrate as ${stranger}; otherwise Retrigger did not create it`,
    );
    await world.sql("DROP FUNCTION retrigger_lock_counter(BIGINT)");
    // Whatever else begins like ours.
    await world.sql(`CREATE FUNCTION retrigger_weekly() RETURNS INT LANGUAGE sql AS 'SELECT 1';
      ALTER FUNCTION retrigger_weekly OWNER TO ${stranger}`);
    await migrate();
    await world.sql(`DROP OWNED BY ${stranger}; DROP ROLE ${stranger}`);
  });

  it("a function of ours that cannot be replaced is named", async () => {
    world = await createWorld({ isEmpty: true });
    await world.sql(
      "CREATE FUNCTION retrigger_lock_counter(counter BIGINT) RETURNS INT LANGUAGE sql AS 'SELECT 1'",
    );
    await expect(migrate()).rejects.toThrow(
      /cannot change return type of existing function.* Nothing was changed/,
    );
  });
});
