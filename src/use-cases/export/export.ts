import { PermanentError } from "../../core/errors.ts";
import { formatInstant, formatQuantity } from "../../core/format.ts";
import type { Database } from "../../postgres/database.ts";
import type { ExportFilter, ExportPlan } from "../../postgres/decision-export.ts";
import type { Redact } from "../../process/redact.ts";
import type { Sources } from "../../settings/sources.ts";
import type { ExportFormat } from "./formats.ts";
import { createLineageWriter, findInputs } from "./lineage.ts";
import { createCsvWriter, createRecordWriter, type PageWriter } from "./rows.ts";

/** An export that has begun. */
export interface DecisionExport {
  decisions: number;
  /** What is left out, or absent, and why. */
  notes: string[];
  /** The text, a page at a time. A page is read once the one before was taken. */
  pages: AsyncIterable<string>;
}

export interface ExportDependencies {
  database: Pick<
    Database,
    "planExport" | "listDecidedModels" | "readExportedRows" | "readRecords" | "locateTables" | "ownSchema"
  >;
  /** The models of the settings. */
  models: ReadonlyMap<string, { source: Sources }>;
  redact: Redact;
}

/**
 * Exports the decisions that a filter admits, the oldest first.
 *
 * @throws PermanentError for a model that has no decisions and is not in the settings, and for a period that ends before it
 * begins.
 */
export async function exportDecisions(
  dependencies: ExportDependencies,
  filter: ExportFilter,
  format: ExportFormat,
): Promise<DecisionExport> {
  checkPeriod(filter);
  const plan = await dependencies.database.planExport(filter);
  if (plan.decisions === 0) await checkModel(dependencies, filter);
  const { writer, notes } = await createWriter(dependencies, plan, format);
  const decisions = format === "openlineage" ? plan.decisions - plan.withoutRun : plan.decisions;
  return {
    decisions,
    notes: decisions === 0 ? [describeNone(filter), ...notes] : notes,
    pages: readPages(writer, filter, plan),
  };
}

function checkPeriod({ since, until }: ExportFilter): void {
  if (since && until && Date.parse(since) >= Date.parse(until))
    throw new PermanentError(
      "BAD_INPUT",
      `since is ${formatInstant(since)} and until is ${formatInstant(until)}: since must be before until`,
    );
}

async function checkModel(
  { database, models }: Pick<ExportDependencies, "database" | "models">,
  { model = null }: ExportFilter,
): Promise<void> {
  if (model === null || models.has(model)) return;
  const decided = await database.listDecidedModels();
  if (decided.includes(model)) return;
  const known = decided.length === 0 ? "none has any yet" : decided.slice(0, MOST_NAMED).join(", ");
  throw new PermanentError(
    "UNKNOWN_MODEL",
    `model: "${model}" has no decisions and is not in the settings (models with decisions: ${known}). Correct the name`,
  );
}

const MOST_NAMED = 10;

async function createWriter(
  { database, models, redact }: ExportDependencies,
  plan: ExportPlan,
  format: ExportFormat,
): Promise<{ writer: PageWriter; notes: string[] }> {
  switch (format) {
    case "csv":
      return { writer: createCsvWriter(database, redact), notes: [] };
    case "jsonl":
      return { writer: createRecordWriter(database, redact), notes: [] };
    case "openlineage": {
      const inputs = await findInputs(database, plan.models, models);
      return { writer: createLineageWriter(database, inputs, redact), notes: listNotes(plan, inputs.notes) };
    }
    default:
      return format satisfies never;
  }
}

function listNotes({ withoutRun }: ExportPlan, notes: readonly string[]): string[] {
  const shown = notes.slice(0, MOST_NAMED);
  return [
    ...(withoutRun === 0
      ? []
      : [
          `Left out: ${formatQuantity(withoutRun, "decision")} without a run, such as those of the Airflow DAG. OpenLineage needs a run id; csv and jsonl have them`,
        ]),
    ...shown,
    ...(notes.length > shown.length
      ? [`and ${formatQuantity(notes.length - shown.length, "more such model")}`]
      : []),
  ];
}

function describeNone({ model, since, until }: ExportFilter): string {
  const parts = [
    model ? `of ${model}` : "",
    since ? `since ${formatInstant(since)}` : "",
    until ? `before ${formatInstant(until)}` : "",
  ].filter((part) => part !== "");
  return ["No decisions", ...parts].join(" ");
}

/** Before the first id that the column can hold. */
const BEFORE_ALL = -(2 ** 31);

async function* readPages(
  { header, limit, read }: PageWriter,
  filter: ExportFilter,
  { decisions, lastId }: ExportPlan,
): AsyncGenerator<string> {
  if (header !== "") yield header;
  for (let after = decisions === 0 ? lastId : BEFORE_ALL; after < lastId;) {
    const page = await read({ filter, after, lastId, limit });
    // What was planned may have been pruned since.
    if (page.lastId === undefined) return;
    after = page.lastId;
    yield page.lines.join("");
  }
}
