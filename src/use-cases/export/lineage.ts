import { deriveRunId } from "../../../queues/run-id.ts";
import { isMock } from "../../core/dispatch/dispatch.ts";
import {
  type Dataset,
  describeLineage,
  type LineageDecision,
  type LineageTraining,
  type RunEvent,
} from "../../core/openlineage.ts";
import type { Database } from "../../postgres/database.ts";
import type { ExportedRow } from "../../postgres/decision-export.ts";
import { locateBuffer, locateChecks } from "../../postgres/source-definitions.ts";
import type { Redact } from "../../process/redact.ts";
import type { Sources } from "../../settings/sources.ts";
import { type PageWriter, redactRow } from "./rows.ts";

/** The source tables of each model, and why some have none. */
export interface Inputs {
  datasets: ReadonlyMap<string, readonly Dataset[]>;
  notes: string[];
}

/**
 * Finds the tables that the settings name now, with one query a database.
 * @throws SourceError or TransientError if a database of a model cannot be read.
 */
export async function findInputs(
  store: Pick<Database, "locateTables" | "ownSchema">,
  models: readonly string[],
  settings: ReadonlyMap<string, { source: Sources }>,
): Promise<Inputs> {
  const tables = models.flatMap((model) => listTables(model, settings.get(model)?.source, store.ownSchema));
  const found = new Map<string, Map<string, Dataset>>();
  for (const database of new Set(tables.map(({ url }) => url))) {
    const own = tables.filter(({ url }) => url === database);
    const names = [...new Set(own.map(({ table }) => table))];
    found.set(database, await store.locateTables(own[0]?.source ?? null, names));
  }
  const datasets = new Map<string, Dataset[]>();
  const notes = models.flatMap((model) =>
    settings.has(model) ? [] : [`${model} is not in the settings, so its decisions name no source tables`],
  );
  for (const { model, table, url } of tables) {
    const dataset = found.get(url)?.get(table);
    if (dataset) datasets.set(model, [...(datasets.get(model) ?? []), dataset]);
    else notes.push(`${model}: the table ${table} does not exist, so its decisions do not name it`);
  }
  return { datasets, notes };
}

/** The tables of a model. What is reported to Retrigger is in its own database. */
function listTables(model: string, source: Sources | undefined, schema: string | null) {
  if (source === undefined) return [];
  const { checks, buffer, database } = source;
  const locate = ({ kind }: { kind: "table" | "reported" }, table: string) => {
    const own = kind === "table" ? database : null;
    return { model, table, source: own, url: own?.url ?? "" };
  };
  return [locate(checks, locateChecks(checks, schema)), locate(buffer, locateBuffer(buffer, schema))];
}

export function createLineageWriter(
  database: Pick<Database, "readExportedRows">,
  { datasets }: Pick<Inputs, "datasets">,
  redact: Redact,
): PageWriter {
  return {
    header: "",
    limit: 1_000,
    async read(page) {
      const rows = await database.readExportedRows(page);
      const events = rows.flatMap((row) => toEvents(redactRow(row, redact), datasets.get(row.model) ?? []));
      return { lines: events.map((event) => `${JSON.stringify(event)}\n`), lastId: rows.at(-1)?.id };
    },
  };
}

function toEvents(row: ExportedRow, inputs: readonly Dataset[]): RunEvent[] {
  const { runId, decidedAt } = row;
  if (runId === null || decidedAt === null) return [];
  const decision: LineageDecision = {
    id: row.id,
    runId,
    model: row.model,
    cause: row.cause,
    decision: row.decision,
    reason: row.reason,
    bufferSize: row.bufferSize,
    driftScore: row.driftScore,
    policyHash: row.policyHash,
    evaluator: row.evaluator,
    sha256: row.sha256,
    takenAt: row.takenAt,
    decidedAt,
    training: toTraining(row, runId),
  };
  return describeLineage(decision, inputs);
}

/** The training that was requested; null if none was, and for the mock trainer, which requests none. */
function toTraining(row: ExportedRow, runId: string): LineageTraining | null {
  const { dispatch: state, trainer, requestedAt, endedAt, updatedAt, url, error } = row;
  if (state === null || trainer === null || requestedAt === null || isMock(trainer)) return null;
  return {
    runId: deriveTrainingRunId(runId),
    trainer,
    state,
    requestedAt,
    changedAt: endedAt ?? updatedAt ?? requestedAt,
    externalId: row.externalId,
    url,
    conclusion: row.conclusion,
    error,
    durationSeconds: row.durationSeconds,
  };
}

/** A UUIDv7 of the same millisecond as the decision's, the same in every export. */
function deriveTrainingRunId(runId: string): string {
  const milliseconds = Number.parseInt(runId.replaceAll("-", "").slice(0, 12), 16);
  return deriveRunId(`training of ${runId}`, milliseconds);
}
