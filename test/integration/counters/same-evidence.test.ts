import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createCountersWorld, type CountersWorld } from "../../support/counters-world.ts";

let counters: CountersWorld;
let tables = 0;
beforeAll(async () => {
  counters = await createCountersWorld();
});
afterAll(() => counters.close());

/** Tables of every shape that can be counted: the types of batch and time, and values of each. */
const SHAPES = [
  {
    batch: "TEXT",
    batches: ["'a'", "''", "'ünï'", "NULL"],
    time: "BIGINT",
    times: ["1", "2", "-3", "NULL", "1e12"],
  },
  {
    batch: "INT",
    batches: ["1", "-1", "NULL"],
    time: "TIMESTAMPTZ",
    times: ["'2026-01-01'", "'infinity'", "'2026-01-01 01:00+02'"],
  },
  {
    batch: "BOOLEAN",
    batches: ["true", "false"],
    time: "FLOAT8",
    times: ["0.1", "'NaN'", "1e300", "0.30000000000000004"],
  },
  {
    batch: "UUID",
    batches: ["'00000000-0000-0000-0000-000000000001'"],
    time: "DATE",
    times: ["'2026-01-02'", "'0044-03-15 BC'", "'-infinity'"],
  },
  {
    batch: "CHAR(5)",
    batches: ["'a'", "'a '", "'bcdef'"],
    time: "NUMERIC",
    times: ["1.0", "1.00", "99999999999999999999.5"],
  },
  {
    batch: null,
    batches: ["NULL"],
    time: "TIMESTAMP",
    times: ["'2026-01-01 00:00:00.000001'", "'2026-01-01'"],
  },
  { batch: "TEXT", batches: ["'a'", "'b'"], time: null, times: ["NULL"] },
] as const;

type Operation = {
  kind: "insert" | "delete" | "update" | "truncate" | "undone";
  batch: number;
  time: number;
  other: number;
};

const operation: fc.Arbitrary<Operation> = fc.record({
  kind: fc.constantFrom("insert", "insert", "insert", "delete", "update", "update", "truncate", "undone"),
  batch: fc.nat(9),
  time: fc.nat(9),
  other: fc.nat(9),
});

describe("the evidence of a counted table", () => {
  it.each(SHAPES)("is that of the rows: batch $batch, time $time", async (shape) => {
    await fc.assert(
      fc.asyncProperty(fc.array(operation, { minLength: 1, maxLength: 12 }), async (operations) => {
        const { world, database, install, gather } = counters;
        const table = `same_${(tables += 1)}`;
        await world.sql(
          `CREATE TABLE ${table} (id INT, batch_id ${shape.batch ?? "TEXT"}, timestamp ${shape.time ?? "TEXT"})`,
        );
        await world.sql(`CREATE VIEW ${table}_rows AS SELECT * FROM ${table}`);
        await world.sql(`INSERT INTO ${table} VALUES (0, ${shape.batches[0]}, ${shape.times[0]})`);
        const columns = {
          batch: shape.batch === null ? null : "batch_id",
          time: shape.time === null ? null : "timestamp",
          ingestedAt: null,
        };
        const counter = await install(table, { columns });
        for (const each of operations) {
          await world.sql(toStatement(table, shape, each));
          const { counted, ...buffer } = await gather(table, { columns });
          expect(counted).toMatchObject({ by: "counter" });
          // A view has no counter.
          const { counted: byQuery, ...rows } = await gather(`${table}_rows`, { columns });
          expect(byQuery).toMatchObject({ by: "query", problem: null });
          expect(buffer).toEqual(rows);
        }
        expect(await database.verifyCounter(counter)).toEqual([]);
      }),
      // Shrinking takes longer than a test may.
      { numRuns: 4, endOnFailure: true },
    );
  });
});

function toStatement(
  table: string,
  { batches, times }: (typeof SHAPES)[number],
  { kind, batch, time, other }: Operation,
): string {
  const pick = (values: readonly string[], number: number): string =>
    values[number % values.length] ?? "NULL";
  const row = `${pick(batches, batch)}, ${pick(times, time)}`;
  switch (kind) {
    case "insert":
      return `INSERT INTO ${table} VALUES (${batch}, ${row}), (${other}, ${pick(batches, other)}, ${pick(times, other)})`;
    case "delete":
      return `DELETE FROM ${table} WHERE id % 3 = ${batch % 3}`;
    case "update":
      return `UPDATE ${table} SET (batch_id, timestamp) = ROW(${row}) WHERE id % 4 = ${other % 4}`;
    case "truncate":
      return `TRUNCATE ${table}`;
    default:
      return `BEGIN; DELETE FROM ${table}; INSERT INTO ${table} VALUES (1, ${row}); ROLLBACK`;
  }
}
