import { describeUnknown, type Fault, isRecord } from "../core/fields.ts";
import { postgresUrl } from "../settings/schemas.ts";
import type { BufferColumn, ChecksColumn, Sources } from "../settings/sources.ts";
import { parseGiven } from "./field-set.ts";
import { BUFFER_FIELDS, CHECKS_FIELDS, SOURCE_MEANINGS } from "./file-fields.ts";
import type { Layer } from "./layer.ts";
import { readVariable, type Variables } from "./named-variable.ts";

type SourceLayer = Pick<Layer, "checks" | "buffer" | "database">;
type Path = Fault["path"];

const PARTS = Object.keys(SOURCE_MEANINGS);

/** Parses `source` of a model or of `defaults`. What it leaves out is taken from `base`. */
export function parseSource(
  value: unknown,
  { checks, buffer, database }: SourceLayer,
  path: Path,
  { faults, variables }: { faults: Fault[]; variables: Variables },
): SourceLayer {
  const base = { checks, buffer, database };
  if (value === undefined || value === null) return base;
  if (!isRecord(value)) {
    faults.push({
      path,
      message: "expected checks and buffer, such as { checks: reported, buffer: reported }",
      value,
    });
    return base;
  }
  for (const key of Object.keys(value))
    if (!PARTS.includes(key))
      faults.push({ path: [...path, key], message: describeUnknown("a part of source", key, PARTS) });
  return {
    checks: parseChecks(value["checks"], base.checks, [...path, "checks"], faults),
    buffer: parseBuffer(value["buffer"], base.buffer, [...path, "buffer"], faults),
    database:
      value["database"] === undefined
        ? base.database
        : parseDatabase(value["database"], [...path, "database"], faults, variables),
  };
}

const REQUIRED_COLUMNS = ["checkedAt", "triggered"] as const;

function parseChecks(value: unknown, base: Layer["checks"], path: Path, faults: Fault[]): Layer["checks"] {
  if (value === undefined || value === null) return base;
  if (value === "reported") return { kind: "reported" };
  if (!isRecord(value)) {
    faults.push({
      path,
      message: "expected reported, or a mapping such as { table: films.drift_log }",
      value,
    });
    return base;
  }
  const given = parseGiven(CHECKS_FIELDS, value, path, faults) as Given<ChecksColumn>;
  for (const column of REQUIRED_COLUMNS)
    if (given.columns?.[column] === null)
      faults.push({
        path: [...path, "columns", column],
        message: `expected a column: without ${column}, nothing can be decided`,
      });
  if (base.kind === "reported" && given.table === undefined) {
    faults.push({ path, message: "needs table: defaults say that checks are reported" });
    return base;
  }
  return { kind: "table", ...mergeTable(given, base) };
}

interface Given<Column extends string> {
  table?: string;
  columns?: Partial<Record<Column, string | null>>;
  where?: Record<string, string | number | boolean>;
  reported?: true;
  unit?: string;
  since?: "lastTraining" | null;
}

interface Table<Column extends string> {
  table: string;
  columns: Readonly<Partial<Record<Column, string | null>>>;
  where: Readonly<Record<string, string | number | boolean>>;
}

function mergeTable<Column extends string>(
  given: Given<Column>,
  base: ({ kind: "table" } & Table<Column>) | { kind: "reported" },
): Table<Column> {
  const inherited: Partial<Table<Column>> = base.kind === "table" ? base : {};
  return {
    table: given.table ?? inherited.table ?? "",
    columns: { ...inherited.columns, ...given.columns } as Table<Column>["columns"],
    where: given.where ?? inherited.where ?? {},
  };
}

function parseBuffer(value: unknown, base: Layer["buffer"], path: Path, faults: Fault[]): Layer["buffer"] {
  if (value === undefined || value === null) return base;
  const { unit, since } = base;
  if (value === "reported") return { kind: "reported", unit, since };
  if (!isRecord(value)) {
    faults.push({ path, message: "expected reported, or a mapping such as { table: films.events }", value });
    return base;
  }
  const given = parseGiven(BUFFER_FIELDS, value, path, faults) as Given<BufferColumn>;
  const shared = {
    unit: given.unit ?? unit,
    since: given.since === undefined ? since : given.since,
  };
  const ofTable = ["table", "columns", "where"].filter((key) => Object.hasOwn(given, key));
  if (given.reported) {
    if (ofTable.length > 0)
      faults.push({
        path,
        message: `${ofTable.join(", ")} cannot stand beside reported: remove one or the other`,
      });
    return { kind: "reported", ...shared };
  }
  if (base.kind === "reported") {
    if (ofTable.length === 0) return { kind: "reported", ...shared };
    if (given.table === undefined) {
      faults.push({ path, message: "needs table: defaults say that the buffer is reported" });
      return base;
    }
  }
  return { kind: "table", ...mergeTable(given, base), ...shared };
}

function parseDatabase(
  value: unknown,
  path: Path,
  faults: Fault[],
  variables: Variables,
): Sources["database"] {
  const found = readVariable(value, "FILMS_DATABASE_URL", path, faults, variables);
  if (found === null) return null;
  const parsed = postgresUrl.safeParse(found.text);
  if (parsed.success) return { variable: found.variable, url: parsed.data };
  for (const { message } of parsed.error.issues)
    faults.push({ path, message: `${found.variable} ${message}` });
  return null;
}
