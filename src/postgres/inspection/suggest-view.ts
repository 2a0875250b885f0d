import pg from "pg";
import { guessColumn } from "../../settings/guess-column.ts";
import { BUFFER_COLUMNS, CHECKS_COLUMNS } from "../../settings/sources.ts";
import { toFigure, toInstant, toTriggered } from "../column-sql.ts";
import { quoteName, type TableColumn } from "../source-columns.ts";
import type { PartInspection } from "./inspect.ts";

/** How a column of the guide's shape is made from another one. */
interface Shape {
  key: string;
  /** Its name in the guide. */
  name: string;
  /** Its type if there is no column to make it from. */
  type: string;
  kind: "any" | "time" | "figure" | "mark";
  /** What is lost without it; null if nothing is. */
  without: string | null;
}

const CHECKS_SHAPE: readonly Shape[] = [
  { key: "id", name: CHECKS_COLUMNS.id, type: "text", kind: "any", without: null },
  {
    key: "checkedAt",
    name: CHECKS_COLUMNS.checkedAt,
    type: "timestamptz",
    kind: "time",
    without: "no check counts",
  },
  { key: "feature", name: CHECKS_COLUMNS.feature, type: "text", kind: "any", without: "checks have no name" },
  { key: "score", name: CHECKS_COLUMNS.score, type: "float8", kind: "figure", without: "no score is known" },
  {
    key: "threshold",
    name: CHECKS_COLUMNS.threshold,
    type: "float8",
    kind: "figure",
    without: "no threshold is known",
  },
  {
    key: "triggered",
    name: CHECKS_COLUMNS.triggered,
    type: "boolean",
    kind: "mark",
    without: "no check is an alert",
  },
  { key: "samples", name: CHECKS_COLUMNS.samples, type: "float8", kind: "figure", without: null },
  { key: "notes", name: CHECKS_COLUMNS.notes, type: "text", kind: "any", without: null },
];

const BUFFER_SHAPE: readonly Shape[] = [
  { key: "batch", name: BUFFER_COLUMNS.batch, type: "text", kind: "any", without: null },
  { key: "time", name: BUFFER_COLUMNS.time, type: "timestamptz", kind: "time", without: null },
  {
    key: "ingestedAt",
    name: BUFFER_COLUMNS.ingestedAt,
    type: "timestamptz",
    kind: "time",
    without: "what arrived since the last training cannot be counted",
  },
];

/** Postgres cuts names at 63 bytes. */
const MOST_NAME = 48;

/** The statement that creates a view of the guide's shape, with comments. @param group What shares the table. */
export function buildView(group: readonly PartInspection[]): string[] {
  const [first] = group;
  if (!first?.catalog) return [];
  const { part, catalog, role } = first;
  const { schema, relation, columns } = catalog;
  const view = `${relation.slice(0, MOST_NAME)}_for_retrigger`;
  const names = [schema, view].map((name) => pg.escapeIdentifier(name)).join(".");
  const shape = part === "checks" ? CHECKS_SHAPE : BUFFER_SHAPE;
  const made = makeColumns(shape, columns);
  const known = new Set(shape.map(({ name }) => name));
  const kept = [...new Set(group.flatMap(({ table }) => table.where.map(({ column }) => column.name)))]
    .filter((name) => !known.has(name))
    .map((name) => ({ sql: `source.${quoteName(name)}`, comment: null }));
  const lines = [...made, ...kept].map(({ sql, comment }, index, all) => {
    const comma = index === all.length - 1 ? "" : ",";
    return `  ${sql}${comma}${comment === null ? "" : ` -- ${comment}`}`;
  });
  const table = [schema, relation].map((name) => pg.escapeIdentifier(name)).join(".");
  return [
    ...new Set(group.flatMap(({ faults }) => faults.map(({ message }) => `-- ${message}`))),
    `CREATE VIEW ${names} AS SELECT`,
    ...lines,
    `FROM ${table} AS source;`,
    `GRANT SELECT ON ${names} TO ${pg.escapeIdentifier(role)};`,
    ...group.map(
      ({ model }) =>
        `-- In the file, without columns: models.${model}.source.${part}: { table: ${schema}.${view}${describeWhere(first)} }`,
    ),
    "",
  ];
}

function describeWhere({ table }: PartInspection): string {
  return table.where.length === 0 ? "" : ", where: as before";
}

interface Made {
  sql: string;
  comment: string | null;
}

function makeColumns(shape: readonly Shape[], columns: ReadonlyMap<string, TableColumn>): Made[] {
  const used = new Set<string>();
  const found = new Map<string, TableColumn>();
  // A column that already has the guide's name comes before any guess.
  for (const isExact of [true, false])
    for (const wanted of shape) {
      if (found.has(wanted.key)) continue;
      const fitting = [...columns.values()].filter(
        (column) => !used.has(column.name) && fits(column, wanted.kind),
      );
      const names = fitting.map(({ name }) => name);
      const name = isExact ? names.find((own) => own === wanted.name) : guessColumn(wanted.key, names);
      const column = columns.get(name ?? "");
      if (!column) continue;
      found.set(wanted.key, column);
      used.add(column.name);
    }
  return shape.flatMap((wanted) => makeColumn(wanted, found));
}

function fits({ kind }: TableColumn, wanted: Shape["kind"]): boolean {
  const isNumber = ["integer", "float", "numeric", "text"].includes(kind);
  switch (wanted) {
    case "any":
      return kind !== "boolean";
    case "time":
      return isNumber || ["timestamptz", "timestamp", "date"].includes(kind);
    case "figure":
      return isNumber;
    case "mark":
      return isNumber || kind === "boolean";
    default:
      return wanted satisfies never;
  }
}

function makeColumn(
  { key, name, type, kind, without }: Shape,
  found: ReadonlyMap<string, TableColumn>,
): Made[] {
  const column = found.get(key);
  const as = `AS ${name}`;
  if (column)
    return [
      {
        sql: `${convert(column, kind)} ${as}`,
        comment: column.name === name ? null : `is ${column.name} right?`,
      },
    ];
  const [score, threshold] = [found.get("score"), found.get("threshold")];
  if (key === "triggered" && score && threshold)
    return [
      {
        sql: `${convert(score, "figure")} > ${convert(threshold, "figure")} ${as}`,
        comment: "is a score above its threshold an alert?",
      },
    ];
  if (without === null) return [];
  return [{ sql: `NULL::${type} ${as}`, comment: `CHOOSE a column or a value: without one, ${without}` }];
}

/** A column as the guide has it. Times without a zone, and what Retrigger reads as it is, stay as they are. */
function convert({ name, kind }: TableColumn, wanted: Shape["kind"]): string {
  const value = { sql: `source.${quoteName(name)}`, kind };
  switch (wanted) {
    case "time":
      return ["integer", "float", "numeric", "text"].includes(kind) ? toInstant(value, "'UTC'") : value.sql;
    case "figure":
      return toFigure(value);
    case "mark":
      return toTriggered(value).replaceAll(/\s+/g, " ");
    case "any":
      return value.sql;
    default:
      return wanted satisfies never;
  }
}
