import type pg from "pg";
import { forEachAtOnce } from "../../../queues/at-once.ts";
import { messageOf } from "../../core/errors.ts";
import type { Sources } from "../../settings/sources.ts";
import { explainPostgresError } from "../explain-error.ts";
import { ownSchemaOf } from "../own-schema.ts";
import { explainSourceError } from "../remote-evidence.ts";
import { locateBuffer, locateChecks } from "../source-definitions.ts";
import type { SourcePools } from "../source-pools.ts";
import {
  type BufferTable,
  findSources,
  type JudgedSources,
  locateParts,
  type SourceFault,
  type SourcePart,
  type SourceTable,
} from "../source-tables.ts";
import { type Catalog, type CatalogTable, readCatalog } from "./catalog.ts";
import { type CheckIndex, findCheckIndex } from "./check-index.ts";
import { completeFaults } from "./complete-faults.ts";
import { measure, type Measurement, type SharedSource } from "./measure.ts";

/** What was found about one part of a model's source. */
export interface PartInspection {
  model: string;
  part: SourcePart;
  faults: readonly SourceFault[];
  table: SourceTable<string>;
  /** Null if the table does not exist. */
  catalog: CatalogTable | null;
  /** The role that reads it. */
  role: string;
  /** Null if there are faults. */
  measured: Measurement | null;
  /** Of the check query; null if it could use none, and for the buffer. */
  index: CheckIndex | null;
}

export interface SourceInspection {
  parts: readonly PartInspection[];
  /** The databases that could not be read, with the models that have their sources there. */
  failed: readonly { message: string; models: readonly string[] }[];
}

export interface InspectorOptions {
  pool: pg.Pool;
  databaseUrl: string;
  sourcePools: SourcePools;
  timeZone: string;
}

/** No query may take longer than this, nor all of them together: one slow table must not hold the others up. */
const QUERY_LIMIT_MS = 2_000;
const TOTAL_LIMIT_MS = 20_000;

const CONCURRENCY = 6;
const CONCURRENT_DATABASES = 3;
/** A database of a model's own has this many connections. */
const SOURCE_CONCURRENCY = 2;

interface Target {
  /** Null for the database of Retrigger. */
  database: Sources["database"];
  models: { model: string; config: JudgedSources; parts: readonly SourcePart[] }[];
}

/** Looks into the sources of models: whether they can be read, what they hold, and whether an index serves them. */
export function createSourceInspector({ pool, databaseUrl, sourcePools, timeZone }: InspectorOptions) {
  return {
    /** Inspects the sources of any number of models; those that share a table are read together. Writes nothing. */
    async inspectSources(models: ReadonlyMap<string, JudgedSources>): Promise<SourceInspection> {
      const deadline = performance.now() + TOTAL_LIMIT_MS;
      const limitMs = (): number => Math.max(0, Math.min(QUERY_LIMIT_MS, deadline - performance.now()));
      const parts: PartInspection[] = [];
      const failed: { message: string; models: string[] }[] = [];
      await forEachAtOnce(listTargets(models), CONCURRENT_DATABASES, async ({ database, models: own }) => {
        const inspect = (target: pg.Pool, concurrency: number): Promise<PartInspection[]> =>
          inspectDatabase(own, { pool: target, timeZone, limitMs, concurrency });
        try {
          const found =
            database === null
              ? await inspect(pool, CONCURRENCY)
              : await sourcePools.withSource(database.url, (open) => inspect(open.pool, SOURCE_CONCURRENCY));
          parts.push(...found);
        } catch (error) {
          const explained =
            database === null
              ? explainPostgresError(error, databaseUrl)
              : explainSourceError(error, database.url, database.variable);
          failed.push({ message: messageOf(explained), models: own.map(({ model }) => model) });
        }
      });
      return { parts, failed };
    },
  };
}

/** The databases, with the parts of the sources that are there. */
function listTargets(models: ReadonlyMap<string, JudgedSources>): Target[] {
  const targets = new Map<string, Target>();
  const add = (database: Sources["database"], model: Target["models"][number]): void => {
    if (model.parts.length === 0) return;
    const key = database?.url ?? "";
    const target = targets.get(key) ?? { database, models: [] };
    targets.set(key, target);
    target.models.push(model);
  };
  for (const [model, config] of models) {
    const { own, remote } = locateParts(config.source);
    add(null, { model, config, parts: own });
    add(config.source.database, { model, config, parts: remote });
  }
  return [...targets.values()];
}

/** The models that read the same table in the same way. */
interface Group extends SharedSource {
  models: { model: string; values: string[] }[];
  inspections: PartInspection[];
}

interface DatabaseOptions {
  pool: pg.Pool;
  timeZone: string;
  limitMs(): number;
  concurrency: number;
}

async function inspectDatabase(
  models: Target["models"],
  { pool, timeZone, limitMs, concurrency }: DatabaseOptions,
): Promise<PartInspection[]> {
  const names = models.flatMap(({ config, parts }) =>
    parts.map((part) => locatePart(config.source, part, ownSchemaOf(pool))),
  );
  const catalog = await readCatalog(pool, names);
  const found: PartInspection[] = [];
  const groups = new Map<string, Group>();
  for (const { model, config, parts } of models)
    for (const part of parts) {
      const { inspection, weight } = await findPart(catalog, model, config, part);
      found.push(inspection);
      if (inspection.faults.length > 0) continue;
      const { table } = inspection;
      const key = describeShape(part, table);
      const group = groups.get(key) ?? { part, table, weight, models: [], inspections: [] };
      groups.set(key, group);
      group.inspections.push(inspection);
      group.models.push({ model, values: table.where.map(({ value }) => value) });
    }
  await forEachAtOnce([...groups.values()], concurrency, async (group) => {
    const { part, table, inspections } = group;
    const measured = await measure(group, { pool, timeZone, limitMs });
    const [first] = inspections;
    const index =
      part === "checks" && first?.catalog
        ? await findCheckIndex(table, first.catalog, { pool, limitMs: limitMs() })
        : null;
    for (const inspection of inspections) {
      inspection.measured = measured.get(inspection.model) ?? null;
      inspection.index = index;
    }
  });
  return found;
}

/** Sources of the same shape differ only in the values of their conditions, so they are read together. */
function describeShape(part: SourcePart, { table, columns, where }: SourceTable<string>): string {
  const used = Object.entries(columns).map(([key, column]) => [key, column?.name]);
  return JSON.stringify([part, table, used, where.map(({ column }) => column.name)]);
}

async function findPart(
  catalog: Catalog,
  model: string,
  config: JudgedSources,
  part: SourcePart,
): Promise<{ inspection: PartInspection; weight: BufferTable["weight"] }> {
  const { tables, faults } = await findSources(catalog.columns, model, config, [part]);
  const table = tables[part];
  if (!table) throw new Error(`the source has no ${part}`);
  const own = catalog.tables.get(table.table) ?? null;
  const inspection = {
    model,
    part,
    table,
    faults: completeFaults(faults, { model, part, table, own, catalog }),
    catalog: own,
    role: catalog.role,
    measured: null,
    index: null,
  };
  return { inspection, weight: tables.buffer?.weight ?? null };
}

function locatePart({ checks, buffer }: Sources, part: SourcePart, schema: string | null): string {
  return part === "checks" ? locateChecks(checks, schema) : locateBuffer(buffer, schema);
}
