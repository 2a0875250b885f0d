import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createCountersWorld, type CountersWorld } from "../../support/counters-world.ts";
import { failureOf, until } from "../../support/world.ts";

let counters: CountersWorld;
let tables = 0;
beforeAll(async () => {
  counters = await createCountersWorld();
});
afterAll(() => counters.close());

/** A table of the guide's shape with some ratings, and its counter. */
async function createCounted(options = ""): Promise<string> {
  const table = `buffer_${(tables += 1)}`;
  await counters.world.sql(`CREATE TABLE ${table} (LIKE ratings_buffer) ${options}`);
  if (options !== "") await addPartition(table, 0);
  await addRows(table);
  await counters.install(table);
  expect((await counters.gather(table)).counted).toMatchObject({ by: "counter" });
  return table;
}

async function addPartition(table: string, number: number): Promise<void> {
  await counters.world.sql(
    `CREATE TABLE ${table}_${number} PARTITION OF ${table} FOR VALUES FROM (${number * 1000}) TO (${number * 1000 + 1000})`,
  );
}

async function addRows(table: string, batch = "b1"): Promise<void> {
  await counters.world.sql(`INSERT INTO ${table} SELECT 1, 1, 3, n, $1 FROM generate_series(1, 100) AS n`, [
    batch,
  ]);
}

/** What counting the rows gives. */
async function rowsOf(table: string, counted: object): Promise<object> {
  const { size, batchCount, batches } = await counters.countRows(table);
  return { size, batchCount, batches, counted };
}

const inSpiteOf = (problem: string) => ({ by: "query", problem });
const byCounter = { by: "counter", problem: null };

describe("a counter that cannot be relied on", () => {
  it.each([
    ["disabled", (name: string) => `DISABLE TRIGGER ${name}`],
    [
      "disabled and enabled again",
      (name: string) => `DISABLE TRIGGER ${name}; ALTER TABLE buffer ENABLE TRIGGER ${name}`,
    ],
    [
      "disabled and enabled again as it was",
      (name: string) => `DISABLE TRIGGER ${name}; ALTER TABLE buffer ENABLE ALWAYS TRIGGER ${name}`,
    ],
  ])("is not used once a trigger was %s", async (_, change) => {
    const { world } = counters;
    const table = await createCounted();
    const [row] = await world.sql<{ name: string }>(
      "SELECT tgname AS name FROM pg_trigger WHERE tgrelid = $1::regclass AND tgname LIKE '%insert'",
      [table],
    );
    await world.sql(
      `ALTER TABLE ${table} ${change(row?.name ?? "").replace("TABLE buffer", `TABLE ${table}`)}`,
    );
    await addRows(table);
    expect(await counters.gather(table)).toMatchObject(await rowsOf(table, inSpiteOf("triggers")));
  });

  it("is not used once a trigger was dropped, and installing it again counts anew", async () => {
    const { world, database, install } = counters;
    const table = await createCounted();
    await world.sql(
      `DO $$ BEGIN EXECUTE (SELECT format('DROP TRIGGER %I ON ${table}', tgname) FROM pg_trigger
         WHERE tgrelid = '${table}'::regclass AND tgname LIKE '%delete'); END $$`,
    );
    await world.sql(`DELETE FROM ${table} WHERE timestamp < 10`);
    expect(await counters.gather(table)).toMatchObject(await rowsOf(table, inSpiteOf("triggers")));
    const counter = (await database.listCounters()).find(({ name }) => name === table);
    if (!counter) throw new Error("there is no counter");
    await database.removeCounter(counter, () => {});
    expect(await world.sql("SELECT FROM pg_trigger WHERE tgrelid = $1::regclass", [table])).toEqual([]);
    await install(table);
    expect(await counters.gather(table)).toMatchObject(await rowsOf(table, byCounter));
  });

  it("is not used for a table that was created again, or took its name", async () => {
    const { world, gather } = counters;
    const table = await createCounted();
    await world.sql(
      `ALTER TABLE ${table} RENAME TO ${table}_old; CREATE TABLE ${table} (LIKE ratings_buffer)`,
    );
    await addRows(table, "b2");
    expect(await counters.gather(table)).toMatchObject(await rowsOf(table, { by: "query", problem: null }));
    // The counter went with the table that it counts.
    await addRows(`${table}_old`);
    expect(await counters.gather(`${table}_old`)).toMatchObject(await rowsOf(`${table}_old`, byCounter));
    await world.sql(`DROP TABLE ${table}, ${table}_old; CREATE TABLE ${table}_old (LIKE ratings_buffer)`);
    expect(await gather(`${table}_old`)).toMatchObject({ size: 0, counted: { by: "query", problem: null } });
  });

  it("is not used once a partition was added or removed", async () => {
    const { world } = counters;
    const table = await createCounted("PARTITION BY RANGE (timestamp)");
    await addPartition(table, 1);
    await world.sql(`INSERT INTO ${table}_1 VALUES (1, 1, 3, 1500, 'b1')`);
    expect(await counters.gather(table)).toMatchObject(await rowsOf(table, inSpiteOf("partitions")));
    const other = await createCounted("PARTITION BY RANGE (timestamp)");
    await world.sql(`ALTER TABLE ${other} DETACH PARTITION ${other}_0`);
    expect(await counters.gather(other)).toMatchObject(await rowsOf(other, inSpiteOf("partitions")));
  });

  it("is not used once a column was renamed or rewritten, and stops nobody from writing", async () => {
    const { world, gather } = counters;
    const table = await createCounted();
    await world.sql(`ALTER TABLE ${table} RENAME COLUMN batch_id TO batch`);
    await addRows(table);
    await world.sql(`ALTER TABLE ${table} RENAME COLUMN batch TO batch_id`);
    expect(await gather(table)).toMatchObject({ size: 200, counted: { by: "query" } });
    const other = await createCounted();
    await world.sql(`ALTER TABLE ${other} ALTER COLUMN batch_id TYPE VARCHAR(50) USING upper(batch_id)`);
    expect(await counters.gather(other)).toMatchObject(await rowsOf(other, inSpiteOf("columns")));
  });

  it("is not used for a table that a crash would empty, or that hides rows", async () => {
    const { world } = counters;
    const unlogged = await createCounted();
    await world.sql(`ALTER TABLE ${unlogged} SET UNLOGGED`);
    expect(await counters.gather(unlogged)).toMatchObject(await rowsOf(unlogged, inSpiteOf("table")));
    const secured = await createCounted();
    await world.sql(`ALTER TABLE ${secured} ENABLE ROW LEVEL SECURITY`);
    expect(await counters.gather(secured)).toMatchObject(await rowsOf(secured, inSpiteOf("table")));
  });

  it("counts exactly where it lost a change, until its rows were counted once more", async () => {
    const { world } = counters;
    const table = await createCounted("PARTITION BY RANGE (timestamp)");
    await world.sql(`INSERT INTO ${table} VALUES (1, 1, 3, 500, 'b2'); TRUNCATE ${table}_0`);
    await world.sql(`INSERT INTO ${table} VALUES (1, 1, 3, 7, 'b3')`);
    expect(await counters.gather(table)).toMatchObject(await rowsOf(table, inSpiteOf("lost")));
    await untilCounted(table);
    expect(await counters.gather(table)).toMatchObject(await rowsOf(table, byCounter));
  });
});

/** Gather has it counted once more, beside its decision. */
async function untilCounted(table: string): Promise<void> {
  await until("the counter is sound", async () => (await counters.gather(table)).counted?.by === "counter");
}

describe("a counter", () => {
  it("counts what a replicating session writes", async () => {
    const table = await createCounted();
    const client = await counters.connect();
    await client.query("SET session_replication_role = replica");
    await client.query(`INSERT INTO ${table} VALUES (1, 1, 3, 5, 'b2')`);
    expect(await counters.gather(table)).toMatchObject(await rowsOf(table, byCounter));
  });

  it("is empty after a TRUNCATE, and full again if that is rolled back", async () => {
    const { world, connect, gather } = counters;
    const table = await createCounted();
    const client = await connect();
    await client.query(`BEGIN; TRUNCATE ${table}; INSERT INTO ${table} VALUES (1, 1, 3, 5, 'b2'); ROLLBACK`);
    expect(await counters.gather(table)).toMatchObject(await rowsOf(table, byCounter));
    expect((await gather(table)).size).toBe(100);
    await world.sql(`TRUNCATE ${table}`);
    await world.sql(`INSERT INTO ${table} VALUES (1, 1, 3, 5, 'b2')`);
    expect(await counters.gather(table)).toMatchObject(await rowsOf(table, byCounter));
    expect((await gather(table)).size).toBe(1);
  });

  it("does not trust a TRUNCATE by a transaction that does not see all rows", async () => {
    const { connect, gather } = counters;
    const table = await createCounted();
    const client = await connect();
    await client.query("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1");
    await addRows(table, "unseen");
    await client.query(`TRUNCATE ${table}; COMMIT`);
    expect(await gather(table)).toMatchObject({ size: 0, counted: inSpiteOf("lost") });
  });

  it("asks the table when a batch begins or ends, once its first or last row was removed, and counts it once more", async () => {
    const { world, database } = counters;
    const table = await createCounted();
    await addRows(table, "b2");
    await world.sql(`DELETE FROM ${table} WHERE batch_id = 'b1' AND timestamp < 50`);
    await world.sql(`UPDATE ${table} SET timestamp = 60 WHERE batch_id = 'b2' AND timestamp = 100`);
    expect(await counters.gather(table)).toMatchObject(await rowsOf(table, byCounter));
    const counter = (await database.listCounters()).find(({ name }) => name === table);
    if (!counter) throw new Error("there is no counter");
    await until("the batches end where the counter says", async () => {
      const [row] = await world.sql<{ open: number }>(
        "SELECT count(*)::int AS open FROM retraining_buffer_counts WHERE counter = $1 AND (gone_earliest IS NOT NULL OR gone_latest IS NOT NULL)",
        [counter.id],
      );
      return row?.open === 0;
    });
    expect(await counters.gather(table)).toMatchObject(await rowsOf(table, byCounter));
    expect(await database.verifyCounter(counter)).toEqual([]);
  });

  it("folds the changes that it consists of", async () => {
    const { world, database } = counters;
    const table = await createCounted();
    const client = await counters.connect();
    await client.query(
      `DO $$ BEGIN FOR n IN 1..1500 LOOP INSERT INTO ${table} VALUES (1, 1, 3, n, 'b' || n % 3); END LOOP; END $$`,
    );
    expect(await counters.gather(table)).toMatchObject(await rowsOf(table, byCounter));
    await until("it was folded", async () => {
      const counter = (await database.listCounters()).find(({ name }) => name === table);
      return counter !== undefined && counter.entries <= 4;
    });
    expect(await counters.gather(table)).toMatchObject(await rowsOf(table, byCounter));
    expect(await world.sql(`SELECT FROM ${table}`)).toHaveLength(1600);
  });

  it("folds one that is not sound, too, whose triggers go on writing", async () => {
    const { world, database } = counters;
    const table = await createCounted("PARTITION BY RANGE (timestamp)");
    await addPartition(table, 1);
    await world.sql(
      `DO $$ BEGIN FOR n IN 1..1500 LOOP INSERT INTO ${table} VALUES (1, 1, 3, n % 900, 'b'); END LOOP; END $$`,
    );
    await database.sweepCounters();
    const counter = (await database.listCounters()).find(({ name }) => name === table);
    expect(counter?.problem).toBe("partitions");
    expect(counter?.entries).toBeLessThan(10);
  });

  it("matches rows whose times are equal, but written in another way", async () => {
    const { world, database, install } = counters;
    await world.sql(
      "CREATE TABLE numeric_times (timestamp NUMERIC, batch_id TEXT); INSERT INTO numeric_times VALUES (1.0, 'b')",
    );
    const counter = await install("numeric_times", { columns: { ingestedAt: null } });
    await world.sql(
      "UPDATE retraining_buffer_counts SET earliest = '1.00', latest = '1.000' WHERE counter = $1",
      [counter.id],
    );
    expect(await database.verifyCounter(counter)).toEqual([]);
    await world.sql("UPDATE retraining_buffer_counts SET latest = '2' WHERE counter = $1", [counter.id]);
    expect(await database.verifyCounter(counter)).toHaveLength(1);
  });

  it("keeps one mark of the many changes that it lost", async () => {
    const { world, database } = counters;
    const table = await createCounted();
    await world.sql(`ALTER TABLE ${table} RENAME batch_id TO batch`);
    await world.sql(
      `DO $$ BEGIN FOR n IN 1..1500 LOOP INSERT INTO ${table} VALUES (1, 1, 3, 1, 'b'); END LOOP; END $$`,
    );
    await database.sweepCounters();
    const counter = (await database.listCounters()).find(({ name }) => name === table);
    expect(counter?.problem).toBe("columns");
    expect(counter?.entries).toBeLessThan(10);
    const sql = "SELECT FROM retraining_buffer_counts WHERE counter = $1 AND is_lost";
    expect(await world.sql(sql, [counter?.id])).toHaveLength(1);
  });

  it("is not installed on a column that Postgres computes when it is read", async () => {
    const { world, install } = counters;
    await world.sql("CREATE TABLE computed (LIKE ratings_buffer); ALTER TABLE computed DROP batch_id");
    const version = await world.sql<{ number: number }>(
      "SELECT current_setting('server_version_num')::int AS number",
    );
    // Only Postgres 18 and later have such columns.
    const isStored = (version[0]?.number ?? 0) < 180_000;
    await world.sql(
      `ALTER TABLE computed ADD batch_id TEXT GENERATED ALWAYS AS (timestamp::text) ${isStored ? "STORED" : "VIRTUAL"}`,
    );
    if (isStored) await install("computed");
    else expect(await failureOf(install("computed"))).toContain("is computed when it is read");
  });

  it("is counted once more after what was wrong with it was seen and then undone", async () => {
    const { world, database } = counters;
    const table = await createCounted();
    await world.sql(`ALTER TABLE ${table} ENABLE ROW LEVEL SECURITY`);
    expect((await counters.gather(table)).counted).toMatchObject(inSpiteOf("table"));
    await until("it is marked", async () => {
      const sql =
        "SELECT FROM retraining_buffer_counts JOIN retraining_buffer_counters AS counter ON counter = counter.id WHERE is_lost AND table_name = $1";
      return (await world.sql(sql, [table])).length > 0;
    });
    await world.sql(`ALTER TABLE ${table} DISABLE ROW LEVEL SECURITY`);
    expect((await counters.gather(table)).counted).toMatchObject(inSpiteOf("lost"));
    expect((await database.listCounters()).find(({ name }) => name === table)?.problem).toBe("lost");
  });

  it("is not used while a partition is being detached, nor after that was interrupted", async () => {
    const { world, connect } = counters;
    const table = await createCounted("PARTITION BY RANGE (timestamp)");
    const reader = await connect();
    await reader.query(`BEGIN; SELECT count(*) FROM ${table}`);
    const detacher = await connect();
    const detaching = failureOf(
      detacher.query(`ALTER TABLE ${table} DETACH PARTITION ${table}_0 CONCURRENTLY`),
    );
    const isPending = "SELECT FROM pg_inherits WHERE inhdetachpending AND inhparent = $1::regclass";
    await until("it waits for the reader", async () => (await world.sql(isPending, [table])).length > 0);
    const expected = { size: 0, counted: inSpiteOf("partitions") };
    expect(await counters.gather(table)).toMatchObject(expected);
    await world.sql(
      "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE query LIKE 'ALTER TABLE % CONCURRENTLY' AND pid <> pg_backend_pid()",
    );
    await detaching;
    await reader.query("COMMIT");
    expect(await counters.gather(table)).toMatchObject(expected);
  });

  it("is not used after a table without its columns was written through a parent, and detached again", async () => {
    const { world } = counters;
    const columns = { batch: null, time: null, ingestedAt: null } as never;
    await world.sql(
      "CREATE TABLE plain (k int, v text); INSERT INTO plain SELECT 1, 'x' FROM generate_series(1, 100)",
    );
    await counters.install("plain", { columns });
    await world.sql(`CREATE TABLE whole (k int, v text) PARTITION BY LIST (k);
      ALTER TABLE whole ATTACH PARTITION plain FOR VALUES IN (1);
      INSERT INTO whole SELECT 1, 'y' FROM generate_series(1, 1000);
      ALTER TABLE whole DETACH PARTITION plain`);
    expect(await counters.gather("plain", { columns })).toMatchObject({
      size: 1100,
      counted: inSpiteOf("columns"),
    });
  });

  it("runs no function or operator that others put into the schema of our tables", async () => {
    const { world, connect } = counters;
    const table = await createCounted();
    const role = `maker_${table}_${process.pid}`;
    await world.sql(
      `CREATE ROLE ${role}; GRANT USAGE, CREATE ON SCHEMA public TO ${role}; GRANT INSERT, SELECT, TRUNCATE ON ${table} TO ${role}`,
    );
    const client = await connect();
    const notices: string[] = [];
    client.on("notice", ({ message }) => notices.push(message ?? ""));
    try {
      await client.query(`SET ROLE ${role};
        CREATE FUNCTION public.retrigger_lock_counter(integer) RETURNS void LANGUAGE plpgsql AS
          $$ BEGIN RAISE NOTICE 'ran as %', current_user; END $$;
        CREATE FUNCTION public.hashtextextended(text, integer) RETURNS bigint LANGUAGE plpgsql AS
          $$ BEGIN RAISE NOTICE 'ran as %', current_user; RETURN 1; END $$;
        CREATE FUNCTION public.spy(oid, integer) RETURNS boolean LANGUAGE plpgsql AS
          $$ BEGIN RAISE NOTICE 'ran as %', current_user; RETURN true; END $$;
        CREATE OPERATOR public.= (LEFTARG = oid, RIGHTARG = integer, FUNCTION = public.spy)`);
      await client.query(`INSERT INTO ${table} VALUES (1, 1, 3, 5, 'b2'); TRUNCATE ${table}`);
      await client.query(`RESET ROLE; INSERT INTO ${table} VALUES (1, 1, 3, 5, 'b2')`);
      expect(notices).toEqual([]);
      expect(await counters.gather(table)).toMatchObject({ size: 1, counted: byCounter });
    } finally {
      await world.sql(`DROP OWNED BY ${role}; DROP ROLE ${role}`);
    }
  });

  it("is defined for no column whose type is not said", async () => {
    const { world } = counters;
    for (const types of ["'b', NULL, NULL, NULL", "NULL, NULL, 'b', NULL"])
      expect(
        await failureOf(
          world.sql(`SELECT retrigger_define_counter(4242, ${types}, false, current_user::text)`),
        ),
      ).toContain("cannot be counted");
  });

  it("folds them, too, if no decision reads them", async () => {
    const { database } = counters;
    const table = await createCounted();
    const client = await counters.connect();
    await client.query(
      `DO $$ BEGIN FOR n IN 1..1500 LOOP INSERT INTO ${table} VALUES (1, 1, 3, n, 'b' || n % 3); END LOOP; END $$`,
    );
    const find = async () => (await database.listCounters()).find(({ name }) => name === table);
    const before = await find();
    expect(before?.entries).toBeGreaterThan(1_000);
    await database.sweepCounters();
    const after = await find();
    expect(after?.entries).toBeLessThanOrEqual(4);
    expect(after?.rows).toBe(before?.rows);
    expect(await counters.gather(table)).toMatchObject(await rowsOf(table, byCounter));
  });

  it("takes no rights of those who write the table, and gives them none", async () => {
    const { world, database, connect } = counters;
    const table = await createCounted();
    const role = `writer_${table}_${process.pid}`;
    await world.sql(
      `CREATE ROLE ${role}; GRANT INSERT, SELECT ON ${table} TO ${role}; GRANT CREATE ON SCHEMA public TO ${role}`,
    );
    const client = await connect();
    try {
      await client.query(
        `SET ROLE ${role}; CREATE TEMP TABLE retraining_buffer_counts (counter BIGINT, batch TEXT, rows BIGINT, earliest TEXT, latest TEXT)`,
      );
      await client.query(`INSERT INTO ${table} VALUES (1, 1, 3, 5, 'b2')`);
      expect((await client.query("SELECT FROM pg_temp.retraining_buffer_counts")).rows).toEqual([]);
      expect(await failureOf(client.query("SELECT FROM public.retraining_buffer_counts"))).toContain(
        "permission denied",
      );
      await client.query("CREATE TABLE own (n INT)");
      const counter = (await database.listCounters()).find(({ name }) => name === table);
      const attached = client.query(
        `CREATE TRIGGER t AFTER INSERT ON own REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION retrigger_count_${counter?.id}()`,
      );
      expect(await failureOf(attached)).toContain("permission denied for function");
      expect(await counters.gather(table)).toMatchObject(await rowsOf(table, byCounter));
    } finally {
      await client.query("RESET ROLE");
      await world.sql(`DROP TABLE IF EXISTS own; DROP OWNED BY ${role}; DROP ROLE ${role}`);
    }
  });
});

describe("a table that cannot have a counter", () => {
  it("is one that has rows which no trigger sees, or that counts only some of its rows", async () => {
    const { world, install } = counters;
    await world.sql(`
      CREATE VIEW buffer_view AS SELECT * FROM ratings_buffer;
      CREATE UNLOGGED TABLE buffer_unlogged (LIKE ratings_buffer);
      CREATE TABLE buffer_parent (LIKE ratings_buffer); CREATE TABLE buffer_child () INHERITS (buffer_parent);
      CREATE TABLE buffer_numeric (batch_id NUMERIC, timestamp BIGINT);
      CREATE TABLE buffer_collated (batch_id TEXT COLLATE "C", timestamp BIGINT)`);
    expect(await failureOf(install("buffer_view"))).toContain("it is a view");
    expect(await failureOf(install("buffer_unlogged"))).toContain("it is unlogged");
    expect(await failureOf(install("buffer_parent"))).toContain("other tables inherit from it");
    expect(await failureOf(install("buffer_child"))).toContain("inherits from another table");
    expect(await failureOf(install("buffer_numeric"))).toContain(
      "batch_id with the batch is of type numeric",
    );
    expect(await failureOf(install("buffer_collated"))).toContain("a collation of its own");
    expect(await failureOf(install("ratings_buffer", { where: { batch_id: "b1" } }))).toContain(
      "only rows with a certain",
    );
  });
});
