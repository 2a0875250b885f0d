import pg from "pg";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createCountersWorld, type CountersWorld } from "../../support/counters-world.ts";
import { failureOf, until } from "../../support/world.ts";

let counters: CountersWorld;
let owner: string;
beforeAll(async () => {
  counters = await createCountersWorld();
  const { world } = counters;
  owner = `owner_${world.config.redisPrefix.replaceAll(/[{}]/g, "")}`;
  await world.sql(`CREATE ROLE ${owner}; GRANT CREATE ON SCHEMA public TO ${owner}`);
});
afterAll(async () => {
  await counters.world.sql(`DROP OWNED BY ${owner} CASCADE; DROP ROLE ${owner}`);
  await counters.close();
});

/** A table of the owner, who is no superuser, and a session of theirs. */
async function createOwned(table: string): Promise<pg.Client> {
  const { world, connect } = counters;
  await world.sql(`CREATE TABLE ${table} (LIKE ratings_buffer); ALTER TABLE ${table} OWNER TO ${owner}`);
  await world.sql(`INSERT INTO ${table} SELECT 1, 1, 3, n, 'b' || n % 5 FROM generate_series(1, 100) AS n`);
  const client = await connect();
  await client.query(`SET ROLE ${owner}`);
  return client;
}

/** A function of the owner that would take the rights of whoever runs it. */
const STEAL = (name: string, parameter: string, returns: string, value: string): string =>
  `CREATE FUNCTION ${name}(${parameter}) RETURNS ${returns} LANGUAGE plpgsql AS $$ BEGIN
     BEGIN EXECUTE 'ALTER ROLE ${owner} CREATEDB'; EXCEPTION WHEN insufficient_privilege THEN NULL; END;
     RETURN ${value}; END $$`;

async function isStolen(): Promise<boolean> {
  const [row] = await counters.world.sql<{ rolcreatedb: boolean }>(
    "SELECT rolcreatedb FROM pg_roles WHERE rolname = $1",
    [owner],
  );
  return row?.rolcreatedb ?? false;
}

const ALTERATIONS = {
  column_type: (table: string) => [
    `CREATE TYPE ${table}_type AS (x text)`,
    STEAL(`${table}_cast`, `${table}_type`, "text", "'x'"),
    `CREATE CAST (${table}_type AS text) WITH FUNCTION ${table}_cast(${table}_type)`,
    `ALTER TABLE ${table} ALTER COLUMN batch_id TYPE ${table}_type USING row(batch_id)::${table}_type`,
  ],
  row_security: (table: string) => [
    STEAL(`${table}_policy`, "", "boolean", "true"),
    `ALTER TABLE ${table} ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY`,
    `CREATE POLICY ${table}_all ON ${table} USING (${table}_policy())`,
  ],
};

describe("the owner of a counted table", () => {
  it.each(Object.entries(ALTERATIONS))(
    "gets no rights of the installer by altering %s while that one waits",
    async (what, alterations) => {
      const { world, install } = counters;
      const table = `waited_${what}`;
      const client = await createOwned(table);
      await client.query(`BEGIN; INSERT INTO ${table} VALUES (1, 1, 3, 1, 'b')`);
      const installing = failureOf(install(table));
      await until("the installer waits", async () => {
        const rows = await world.sql("SELECT FROM pg_locks WHERE NOT granted AND relation = $1::regclass", [
          table,
        ]);
        return rows.length > 0;
      });
      for (const statement of alterations(table)) await client.query(statement);
      await client.query("COMMIT");
      expect(await installing).toContain("changed while Retrigger waited for it");
      expect(await isStolen()).toBe(false);
      expect(
        await world.sql("SELECT FROM retraining_buffer_counters WHERE table_name = $1", [table]),
      ).toEqual([]);
    },
  );

  it("gets none of whoever recounts or verifies it later", async () => {
    const { database, install } = counters;
    const client = await createOwned("later");
    const counter = await install("later");
    for (const statement of ALTERATIONS.column_type("later")) await client.query(statement);
    const altered = "the table was altered since its counter was installed";
    expect(await failureOf(database.recountCounter(counter))).toContain(altered);
    expect(await failureOf(database.verifyCounter(counter))).toContain(altered);
    expect(await isStolen()).toBe(false);
  });

  it("can neither have a trigger of their own dropped nor make a counter look changed by it", async () => {
    const { world, database, install } = counters;
    await createOwned("trusted");
    const counter = await install("trusted");
    const name = `retrigger_counter_${counter.id}_insert`;
    const client = await createOwned("decoy");
    await client.query(`CREATE FUNCTION decoy() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
      CREATE TRIGGER ${name} AFTER INSERT ON decoy EXECUTE FUNCTION decoy()`);
    await database.removeCounter(counter, () => {});
    expect(
      await world.sql("SELECT tgrelid::regclass::text AS table FROM pg_trigger WHERE tgname = $1", [name]),
    ).toEqual([{ table: "decoy" }]);
  });
});

it("a session that keeps a counter's lock makes no TRUNCATE wait; the rows are counted once more", async () => {
  const { world, install, gather, connect } = counters;
  await createOwned("emptied");
  const counter = await install("emptied");
  const stranger = await connect();
  await stranger.query("SELECT pg_advisory_lock(hashtextextended($1, 0))", [
    `retrigger counter ${counter.id}`,
  ]);
  await world.sql("SET lock_timeout = 5000; TRUNCATE emptied");
  expect((await gather("emptied")).size).toBe(0);
  expect((await gather("emptied")).counted).toMatchObject({ by: "query", problem: "lost" });
  await stranger.query("SELECT pg_advisory_unlock_all()");
});

it("partitions in a schema whose name needs quotes can be counted", async () => {
  const { world, database, install, gather } = counters;
  await world.sql(`CREATE SCHEMA "Films"; CREATE TABLE "Films".parts (LIKE ratings_buffer) PARTITION BY HASH (timestamp);
    CREATE TABLE "Films".part PARTITION OF "Films".parts FOR VALUES WITH (MODULUS 1, REMAINDER 0)`);
  const counter = await install("Films.parts");
  await world.sql(`INSERT INTO "Films".parts VALUES (1, 1, 3, 1, 'b')`);
  expect(await gather("Films.parts")).toMatchObject({ size: 1, counted: { by: "counter" } });
  expect(await database.verifyCounter(counter)).toEqual([]);
});

it("a function that an earlier installation left behind is replaced, with its triggers", async () => {
  const { world, database, install } = counters;
  await createOwned("kept");
  const { id } = await install("kept");
  await world.sql("DELETE FROM retraining_buffer_counts; DELETE FROM retraining_buffer_counters");
  await world.sql(`ALTER TABLE retraining_buffer_counters ALTER id RESTART WITH ${id}`);
  const again = await install("kept");
  expect(again).toMatchObject({ id, problem: null, rows: 100 });
  await world.sql("INSERT INTO kept VALUES (1, 1, 3, 1, 'b1')");
  expect(await database.verifyCounter(again)).toEqual([]);
});
