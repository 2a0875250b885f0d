import type { ColumnKind } from "../source-columns.ts";
import type { BufferTable } from "../source-tables.ts";

/** Types whose values are equal exactly if their texts are, so that a counter can keep a batch as text. */
const BATCH_TYPES = [
  "text",
  "character varying",
  "bpchar",
  "smallint",
  "integer",
  "bigint",
  "uuid",
  "boolean",
];

const TIME_KINDS: readonly ColumnKind[] = ["timestamptz", "timestamp", "date", "integer", "float", "numeric"];

/** Why a counter cannot keep the count of a buffer, as far as its settings and columns say; null if it can. */
export function findUncountable({ columns, where, weight }: BufferTable): string | null {
  const { batch, time } = columns;
  if (weight !== null) return "its rows are reported to Retrigger, which counts them as they are";
  if (where.length > 0)
    return `only rows with a certain ${where.map(({ column }) => column.name).join(", ")} count (source.buffer.where)`;
  if (batch && (batch.isDomain || !BATCH_TYPES.includes(batch.type)))
    return `its column ${batch.name} with the batch is of type ${batch.type}`;
  if (time && (time.isDomain || !TIME_KINDS.includes(time.kind)))
    return `its column ${time.name} with the time is of type ${time.type}`;
  return null;
}
