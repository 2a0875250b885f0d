import { SourceError } from "../core/errors.ts";
import { listColumnNeeds, needsOf, type Policy } from "../core/policy.ts";
import {
  type BufferColumn,
  type BufferSource,
  CHECKS_COLUMNS,
  type ChecksColumn,
  type ChecksSource,
  type Sources,
} from "../settings/sources.ts";
import { guessColumn } from "../settings/guess-column.ts";
import {
  type ColumnCache,
  quoteName,
  quoteTable,
  type TableColumn,
  type TableColumns,
} from "./source-columns.ts";
import { defineBuffer, defineChecks, type SourceDefinition, TIMES } from "./source-definitions.ts";

/** Where a model's evidence is, and the policy that needs it. */
export interface JudgedSources {
  policy: Policy;
  source: Sources;
  /** A shadow policy that is judged by the same reading. */
  shadowToo?: Policy;
}

/** What a model is judged by, and where its evidence is. */
export interface ModelSources extends JudgedSources {
  /** Only a training of this trainer counts as an answer to an alert. */
  trainer: { name: string };
  /** How often a drift run is expected, in milliseconds; null if none is. */
  expectDriftRunEveryMs: number | null;
  shadow?: Policy | null;
}

/** A source as it is in the database. */
export interface SourceTable<C extends string> {
  table: string;
  /** The columns that it has. */
  columns: Readonly<Partial<Record<C, TableColumn>>>;
  /** Only rows in which the columns have these values. */
  where: readonly { column: TableColumn; value: string }[];
  /** All columns of the table; none if it does not exist. */
  found: TableColumns;
}

export type ChecksTable = SourceTable<ChecksColumn>;

export interface BufferTable extends SourceTable<BufferColumn> {
  /** The column with the number of rows that a row stands for; null if each stands for itself. */
  weight: TableColumn | null;
}

export interface SourceTables {
  checks: ChecksTable;
  buffer: BufferTable;
}

/** What is wrong with a source. */
export interface SourceFault {
  code: "MISSING_TABLE" | "MISSING_COLUMN" | "NO_PRIVILEGE" | "SOURCE_DATA";
  /** What is wrong, with the place in the settings. */
  message: string;
  remedy: string;
}

export type SourcePart = keyof SourceTables;

/** Where the parts of a model's source are: in a database of its own, or in Retrigger's, as what is reported is. */
export function locateParts({ checks, buffer, database }: Sources): {
  own: SourcePart[];
  remote: SourcePart[];
} {
  const isRemote = ({ kind }: ChecksSource | BufferSource): boolean => database !== null && kind === "table";
  const parts: readonly [SourcePart, boolean][] = [
    ["checks", isRemote(checks)],
    ["buffer", isRemote(buffer)],
  ];
  return {
    own: parts.flatMap(([part, remote]) => (remote ? [] : [part])),
    remote: parts.flatMap(([part, remote]) => (remote ? [part] : [])),
  };
}

/** Finds parts of a model's source in one database, or everything that is wrong with them. */
export async function findSources(
  cache: ColumnCache,
  model: string,
  { source: { checks, buffer }, policy, shadowToo }: JudgedSources,
  parts: readonly SourcePart[],
): Promise<{ tables: Partial<SourceTables>; faults: SourceFault[] }> {
  const faults: SourceFault[] = [];
  const tables: Partial<SourceTables> = {};
  const judges = { policy, shadow: shadowToo ?? null };
  if (parts.includes("checks")) {
    tables.checks = await findTable(cache, model, defineChecks(model, checks, cache.ownSchema), faults);
    if (tables.checks.found.size > 0) faults.push(...findChecksFaults(model, tables.checks, judges, faults));
  }
  if (parts.includes("buffer")) {
    const table = await findTable(cache, model, defineBuffer(model, buffer, cache.ownSchema), faults);
    tables.buffer = {
      ...table,
      weight: buffer.kind === "reported" ? (table.found.get("rows") ?? null) : null,
    };
    if (table.found.size > 0 && !table.columns.ingestedAt && !table.columns.time)
      faults.push(...findTimeFaults(model, table.table, { needsSince: buffer.since !== null, ...judges }));
  }
  return { tables, faults };
}

/** @throws SourceError that names every fault. */
export function throwIfAny(faults: readonly SourceFault[], address: string): void {
  const [first] = faults;
  if (!first) return;
  const texts = faults.map(({ message, remedy }) => `${message}. ${remedy}`);
  throw new SourceError(first.code, `${TITLES[first.code]} in ${address}: ${texts.join("; ")}`);
}

const TITLES = {
  MISSING_TABLE: "Missing table",
  MISSING_COLUMN: "Missing column",
  NO_PRIVILEGE: "No privilege",
  SOURCE_DATA: "Unexpected type",
} as const;

async function findTable<C extends string>(
  cache: ColumnCache,
  model: string,
  definition: SourceDefinition<C>,
  faults: SourceFault[],
): Promise<SourceTable<C>> {
  const { table, isOurs, guideNames, where, part, variable } = definition;
  const place = `models.${model}.source.${part}`;
  const names = Object.keys(guideNames) as C[];
  const known = await cache.find(table);
  const found: TableColumns = known ?? new Map();
  const columns: Partial<Record<C, TableColumn>> = {};
  const result: SourceTable<C> = { table, columns, where: [], found };
  if (known === null) {
    faults.push({
      code: "MISSING_TABLE",
      message: `${place}.table: the table or view ${table} does not exist`,
      remedy: isOurs
        ? "Create it with: npx retrigger migrate"
        : `Correct the name there or in ${variable}, or create a view: see docs/sources.md`,
    });
    return result;
  }
  for (const name of names) {
    const column = findColumn(definition, name, found, `${place}.columns.${name}`, faults);
    if (column) columns[name] = column;
  }
  const conditions = Object.entries(where).flatMap(([name, value]) => {
    const column = found.get(name);
    if (!column) faults.push(missingColumn(`${place}.where.${name}`, table, name, found));
    return column ? [{ column, value: String(value) }] : [];
  });
  const used = [
    ...Object.values<TableColumn | undefined>(columns),
    ...conditions.map(({ column }) => column),
  ];
  const hidden = used.flatMap((column) => (column && !column.isReadable ? [column.name] : []));
  if (hidden.length > 0)
    faults.push({
      code: "NO_PRIVILEGE",
      message: `${place}.table: permission denied for table ${table}: ${cache.role} may not read ${hidden.join(", ")}`,
      remedy: `Run as its owner: GRANT SELECT ON ${quoteTable(table)} TO ${quoteName(cache.role)};`,
    });
  return { ...result, where: conditions };
}

/** The column of a figure; null if there is none. A column that nobody named is used only if it can be read. */
function findColumn<C extends string>(
  { columns, guideNames, kinds, table }: SourceDefinition<C>,
  name: C,
  found: TableColumns,
  place: string,
  faults: SourceFault[],
): TableColumn | null {
  const named = columns[name];
  if (named === null) return null;
  const column = found.get(named ?? guideNames[name]);
  if (!column) {
    if (named !== undefined) faults.push(missingColumn(place, table, named, found));
    return null;
  }
  const allowed = kinds[name];
  if (allowed === "any" || allowed.includes(column.kind)) return column;
  const isOptional = named === undefined && ["samples", "ingestedAt", "time"].includes(name);
  if (!isOptional) faults.push(wrongType(place, table, column, allowed === TIMES ? "times" : "numbers"));
  return null;
}

function wrongType(place: string, table: string, { name, type }: TableColumn, expected: string): SourceFault {
  return {
    code: "SOURCE_DATA",
    message: `${place}: the column ${name} of ${table} is of type ${type}`,
    remedy: `Name a column of ${expected}, or create a view: see docs/sources.md`,
  };
}

function missingColumn(place: string, table: string, name: string, found: TableColumns): SourceFault {
  const key = place.slice(place.lastIndexOf(".") + 1);
  const nearest = guessColumn(key, [...found.keys()], name);
  return {
    code: "MISSING_COLUMN",
    message: `${place}: ${table} has no column ${name} (it has ${[...found.keys()].join(", ")})`,
    remedy: `${nearest === undefined ? "" : `Did you mean ${nearest}? `}Correct the name there. A view can supply the column`,
  };
}

interface Judges {
  policy: Policy;
  shadow: Policy | null;
}

/** Without a time nothing can be counted, and without a mark or both figures nothing can be an alert. */
function findChecksFaults(
  model: string,
  { table, columns, found }: ChecksTable,
  { policy, shadow }: Judges,
  known: readonly SourceFault[],
): SourceFault[] {
  const place = `models.${model}.source.checks.columns`;
  const missing = (name: ChecksColumn): SourceFault =>
    missingColumn(`${place}.${name}`, table, CHECKS_COLUMNS[name], found);
  const isMarked = columns.triggered !== undefined || (columns.score && columns.threshold);
  const absent = [
    ...(columns.checkedAt ? [] : [missing("checkedAt")]),
    ...(isMarked ? [] : [missing("triggered")]),
  ];
  const isKnown = (name: string): boolean =>
    known.some(({ message }) => message.startsWith(`${place}.${name}:`));
  const own = listColumnNeeds(policy);
  const others = (shadow === null ? [] : listColumnNeeds(shadow))
    .filter(({ key }) => own.every((need) => need.key !== key))
    .map((need) => ({ ...need, key: `${need.key} of the shadow policy` }));
  const needed = [...own, ...others].flatMap(({ key, columns: names }) =>
    (names as readonly ChecksColumn[])
      .filter((name) => columns[name] === undefined && !isKnown(name))
      .map((name): SourceFault => {
        const own = found.get(CHECKS_COLUMNS[name]);
        const fault = own ? wrongType(`${place}.${name}`, table, own, "numbers") : missing(name);
        return { ...fault, message: `${fault.message}, which ${key} needs` };
      }),
  );
  return [...absent, ...needed];
}

/** What needs to know when a row arrived, if no column says so. */
function findTimeFaults(
  model: string,
  table: string,
  { needsSince, policy, shadow }: Judges & { needsSince: boolean },
): SourceFault[] {
  const isShadowWaiting = shadow !== null && needsOf(shadow).waiting;
  const waiting = needsOf(policy).waiting ? "policy" : isShadowWaiting ? "shadow" : null;
  const needing = [
    ...(needsSince ? [`models.${model}.source.buffer.since`] : []),
    ...(waiting === null ? [] : [`models.${model}.${waiting}.when: waitingCost`]),
  ];
  return needing.map((place) => ({
    code: "MISSING_COLUMN",
    message: `${place}: ${table} has no column that says when a row arrived`,
    remedy: `Name it in models.${model}.source.buffer.columns.ingestedAt`,
  }));
}
