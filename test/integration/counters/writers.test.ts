import type pg from "pg";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { hasCode } from "../../../src/postgres/explain-error.ts";
import { createCountersWorld, type CountersWorld } from "../../support/counters-world.ts";
import { until } from "../../support/world.ts";

let counters: CountersWorld;
beforeAll(async () => {
  counters = await createCountersWorld();
});
afterAll(() => counters.close());

const WRITERS = 8;
/** What each writes before the counter is there, and after. */
const TRANSACTIONS = 8;

describe("a counter that is installed while eight writers write", () => {
  it.each(["plain", "partitioned"])("misses no row and counts none twice: a %s table", async (kind) => {
    const { world, database, connect, install, gather, countRows } = counters;
    const table = `${kind}_buffer`;
    await createTable(table, kind === "partitioned");
    await world.sql(
      `INSERT INTO ${table} SELECT 1, 1, 3, 1700000000 + n, 'b' || n % 5 FROM generate_series(1, 2000) AS n`,
    );
    const clients = await Promise.all(Array.from({ length: WRITERS }, connect));
    const written = clients.map(() => 0);
    let isInstalled = false;
    const writing = clients.map(async (client, writer) => {
      const random = seeded(writer + 1);
      for (let left = TRANSACTIONS; left > 0; left -= isInstalled ? 1 : 0) {
        await writeTransaction(client, table, random, kind === "partitioned");
        written[writer] = (written[writer] ?? 0) + 1;
      }
    });
    await until("every writer has written", async () => written.every((count) => count >= TRANSACTIONS));
    const counter = await install(table);
    isInstalled = true;
    await Promise.all(writing);

    expect(await database.verifyCounter(counter)).toEqual([]);
    const { counted, ...buffer } = await gather(table);
    expect(counted).toMatchObject({ by: "counter" });
    const { size, batchCount, batches } = await countRows(table);
    expect(buffer).toMatchObject({ size, batchCount, batches });
    const [row] = await world.sql<{ count: number }>(`SELECT count(*)::int AS count FROM ${table}`);
    expect(buffer.size).toBe(row?.count);
  });
});

async function createTable(table: string, isPartitioned: boolean): Promise<void> {
  const { world } = counters;
  await world.sql(
    `CREATE TABLE ${table} (LIKE ratings_buffer) ${isPartitioned ? "PARTITION BY HASH (timestamp)" : ""}`,
  );
  if (isPartitioned)
    for (const part of [0, 1])
      await world.sql(
        `CREATE TABLE ${table}_${part} PARTITION OF ${table} FOR VALUES WITH (MODULUS 2, REMAINDER ${part})`,
      );
}

/** A transaction of up to five statements, some of them undone by a savepoint; a quarter of all transactions is rolled back. */
async function writeTransaction(
  client: pg.Client,
  table: string,
  random: () => number,
  isPartitioned: boolean,
): Promise<void> {
  const isolation = random() < 0.2 ? "REPEATABLE READ" : "READ COMMITTED";
  await client.query(`BEGIN ISOLATION LEVEL ${isolation}`);
  try {
    for (let left = 1 + Math.floor(random() * 5); left > 0; left -= 1) {
      const isUndone = random() < 0.25;
      if (isUndone) await client.query("SAVEPOINT before");
      await client.query(statementFor(table, random, isPartitioned));
      if (isUndone) await client.query("ROLLBACK TO SAVEPOINT before");
    }
    await client.query(random() < 0.25 ? "ROLLBACK" : "COMMIT");
  } catch (error) {
    await client.query("ROLLBACK");
    // Two writers may touch the same row: that is their own affair. None of these may name a table of ours.
    if (!hasCode(error, ["40001", "40P01"]) || /retraining_/.test(JSON.stringify(error))) throw error;
  }
}

function statementFor(table: string, random: () => number, isPartitioned: boolean): string {
  const batch = `'b${Math.floor(random() * 5)}'`;
  const some = `ctid = ANY (ARRAY(SELECT ctid FROM ${table} WHERE batch_id = ${batch} LIMIT 20 FOR UPDATE SKIP LOCKED))`;
  const rows = `SELECT 1, 1, 3, 1700000000 + floor(random() * 5000)::int, ${batch}`;
  // A row that is known to be of that partition.
  const direct = `INSERT INTO ${table}_0 SELECT * FROM ${table}_0 LIMIT 7`;
  const statements = [
    `INSERT INTO ${table} ${rows} FROM generate_series(1, 30)`,
    `INSERT INTO ${table} ${rows}`,
    `COPY ${table} FROM PROGRAM 'yes 1,1,3,1700009000,copied, | head -50' WITH (FORMAT csv)`,
    isPartitioned
      ? `DELETE FROM ${table} WHERE timestamp = 1700000000 + ${Math.floor(random() * 2000)}`
      : `DELETE FROM ${table} WHERE ${some}`,
    isPartitioned
      ? `UPDATE ${table} SET timestamp = timestamp + 1 WHERE timestamp = 1700000000 + ${Math.floor(random() * 2000)}`
      : `UPDATE ${table} SET batch_id = 'moved' WHERE ${some}`,
    isPartitioned ? direct : `UPDATE ${table} SET rating = 4 WHERE ${some}`,
  ];
  return statements[Math.floor(random() * statements.length)] ?? "";
}

/** A small generator (mulberry32), so that a failure can be repeated. */
function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d_2b_79_f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}
