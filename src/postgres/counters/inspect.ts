import type pg from "pg";
import type { CounterProblem } from "../../core/counter.ts";
import { PermanentError } from "../../core/errors.ts";
import { quoteForCatalog } from "../source-columns.ts";
import type { BufferTable } from "../source-tables.ts";
import { findUncountable } from "./countable.ts";
import type { Counter } from "./recount.ts";

/** A counter as its row says, and whether it is sound. */
export interface InstalledCounter extends Counter {
  /** The name in the settings when it was installed. */
  name: string;
  /** That of the table. */
  oid: number;
  /** Null if the table is gone. */
  problem: CounterProblem | "dropped" | null;
  installedBy: string;
  /** ISO 8601. */
  installedAt: string;
  filledAt: string | null;
  /** The rows that it has counted, and the changes that it consists of. */
  rows: number;
  entries: number;
}

/** A buffer that can have a counter. */
export interface CountableTable {
  name: string;
  oid: number;
  /** Quoted, with its schema. */
  table: string;
  partitions: readonly string[];
  columns: BufferTable["columns"];
}

/** Finds what a counter needs to know of a table, or says why it cannot have one, as a clause. */
export async function findCountable(
  client: Pick<pg.ClientBase, "query">,
  buffer: BufferTable,
): Promise<CountableTable | string> {
  return findUncountable(buffer) ?? inspect(client, buffer.table, buffer.columns);
}

/** @throws PermanentError if the table is no longer what it was. Call it under the table's lock: what it was may be long ago. */
export async function requireUnchanged(
  client: Pick<pg.ClientBase, "query">,
  expected: CountableTable,
): Promise<void> {
  const found = await inspect(client, expected.name, expected.columns);
  if (JSON.stringify(found) === JSON.stringify(expected)) return;
  const why = typeof found === "string" ? found : "it is another one, or has other partitions";
  throw new PermanentError(
    "TABLE_CHANGED",
    `${expected.name} changed while Retrigger waited for it: ${why}. Nothing was installed. If that was meant, run it again`,
  );
}

async function inspect(
  client: Pick<pg.ClientBase, "query">,
  name: string,
  columns: BufferTable["columns"],
): Promise<CountableTable | string> {
  const { batch, time } = columns;
  const { rows } = await client.query<InspectedRow>(INSPECT, [
    quoteForCatalog(name),
    batch?.name ?? null,
    batch?.type ?? null,
    time?.name ?? null,
    time?.type ?? null,
  ]);
  const [row] = rows;
  if (!row) return "it does not exist";
  const { oid, table, partitions } = row;
  return describeKind(row) ?? { name, oid, table, partitions, columns };
}

interface InspectedRow {
  oid: number;
  table: string;
  kind: string;
  partitions: string[];
  isCollationOther: boolean | null;
  hasColumns: boolean;
  isComputed: boolean;
  shape: { kinds: string[]; hasParent: boolean; isSubscribed: boolean };
}

function describeKind({
  kind,
  partitions,
  shape,
  isCollationOther,
  hasColumns,
  isComputed,
}: InspectedRow): string | null {
  const { kinds, hasParent, isSubscribed } = shape;
  if (kind === "v" || kind === "m") return "it is a view: a counter belongs to a table";
  if (kind === "f" || kinds.some((each) => each.startsWith("f")))
    return "it is a foreign table, or has one as a partition";
  if (hasParent) return "it is a partition, or inherits from another table, through which it may be written";
  if (kind !== "p" && partitions.length > 0) return "other tables inherit from it";
  if (kinds.some((each) => each[1] !== "p"))
    return "it is unlogged or temporary, so that a crash empties it unseen";
  if (kinds.some((each) => each.endsWith("t"))) return "it has row-level security";
  if (isSubscribed) return "logical replication writes it, for which no statement triggers run";
  if (!hasColumns) return "its column with the batch or with the time was altered";
  if (isComputed)
    return "its column with the batch or with the time is computed when it is read, which triggers do not see";
  if (isCollationOther === true) return "its column with the batch has a collation of its own";
  return null;
}

const INSPECT = `
SELECT table_.oid::int8::float8 AS oid, format('%I.%I', nspname, relname) AS table, relkind::text AS kind,
  ARRAY(SELECT format('%I.%I', home.nspname, part.relname)
    FROM jsonb_array_elements_text(shape -> 'partitions') AS listed (id) JOIN pg_class AS part ON part.oid = id::oid
    JOIN pg_namespace AS home ON home.oid = part.relnamespace
    WHERE part.oid <> table_.oid ORDER BY part.oid) AS partitions,
  (SELECT attcollation NOT IN (0, 100) FROM pg_attribute WHERE attrelid = table_.oid AND attname = $2 AND NOT attisdropped)
    AS "isCollationOther",
  NOT EXISTS (SELECT FROM (VALUES ($2, $3), ($4, $5)) AS expected (name, type) WHERE name IS NOT NULL AND NOT EXISTS (
    SELECT FROM pg_attribute WHERE attrelid = table_.oid AND attname = name AND NOT attisdropped AND atttypid = type::regtype))
    AS "hasColumns",
  EXISTS (SELECT FROM pg_attribute WHERE attrelid = table_.oid AND attname IN ($2, $4) AND attgenerated = 'v') AS "isComputed",
  shape
FROM pg_class AS table_ JOIN pg_namespace ON pg_namespace.oid = relnamespace,
  LATERAL retrigger_counter_shape(table_.oid, 0, $2, $4) AS shape
WHERE table_.oid = to_regclass($1)`;

/** The counters there are. */
export async function listCounters(client: Pick<pg.ClientBase, "query">): Promise<InstalledCounter[]> {
  const { rows } = await client.query<InstalledCounter>(LIST, [null]);
  return rows.map(requireTimeType);
}

/** @throws PermanentError if it was removed. */
export async function findCounter(
  client: Pick<pg.ClientBase, "query">,
  id: number,
): Promise<InstalledCounter> {
  const { rows } = await client.query<InstalledCounter>(LIST, [id]);
  const [counter] = rows;
  if (!counter) throw new PermanentError("MISSING_COUNTER", `The counter ${id} was removed in the meantime`);
  return requireTimeType(counter);
}

const TIME_TYPE =
  /^(?:timestamp|date|smallint|integer|bigint|real|double precision|numeric)(?:\(\d+(?:,\d+)?\))?(?: with(?:out)? time zone)?$/;

/** The type becomes part of statements, so a tampered row must not say anything else. */
function requireTimeType(counter: InstalledCounter): InstalledCounter {
  const { id, timeType } = counter;
  if (timeType === null || TIME_TYPE.test(timeType)) return counter;
  throw new PermanentError(
    "BAD_COUNTER",
    `Counter ${id} in retraining_buffer_counters has the time_type ${JSON.stringify(timeType)}, which is none. Remove the row, then run npx retrigger counters install`,
  );
}

const LIST = `
SELECT counter.id::int4 AS id, table_name AS name, table_oid::int8::float8 AS oid, batch_column AS "batchColumn", time_column AS "timeColumn",
  time_type AS "timeType", installed_by AS "installedBy", to_json(installed_at) #>> '{}' AS "installedAt",
  to_json(filled_at) #>> '{}' AS "filledAt",
  CASE WHEN table_.oid IS NULL THEN table_name ELSE format('%I.%I', nspname, relname) END AS table,
  CASE WHEN table_.oid IS NULL THEN 'dropped' ELSE retrigger_counter_problem(counter) END AS problem,
  sums.rows, sums.entries
FROM retraining_buffer_counters AS counter
LEFT JOIN pg_class AS table_ ON table_.oid = table_oid LEFT JOIN pg_namespace ON pg_namespace.oid = relnamespace,
LATERAL (SELECT COALESCE(sum(rows), 0)::float8 AS rows, count(*)::float8 AS entries 
  FROM retraining_buffer_counts AS counts WHERE counts.counter = counter.id) AS sums
WHERE counter.id = COALESCE($1, counter.id) ORDER BY table_name, counter.id`;
