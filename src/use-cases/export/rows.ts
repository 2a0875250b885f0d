import { toCsvHeader, toCsvLine } from "../../core/csv.ts";
import type { Database } from "../../postgres/database.ts";
import type { DecisionRecord, ExportedRow, ExportPage } from "../../postgres/decision-export.ts";
import { type Redact, redactTexts } from "../../process/redact.ts";

/** The columns of the CSV; docs/trust-export.md has their meanings. */
const CSV_COLUMNS = [
  "id",
  "runId",
  "model",
  "cause",
  "decidedAt",
  "decision",
  "reason",
  "bufferSize",
  "driftScore",
  "notes",
  "dispatch",
  "url",
  "why",
  "driftRatio",
  "trainer",
  "policyHash",
  "evaluator",
  "shadow",
  "forcedBy",
  "forcedReason",
  "requestedAt",
  "endedAt",
  "conclusion",
  "durationSeconds",
  "contentSha256",
  "previousSha256",
  "sha256",
] as const satisfies readonly (keyof ExportedRow)[];

/** How each format reads a page and writes it. */
export interface PageWriter {
  header: string;
  /** How many decisions a page has. */
  limit: number;
  read(page: ExportPage): Promise<{ lines: string[]; lastId: number | undefined }>;
}

/** What a trainer says may hold a secret that was set later. */
export function redactRow(row: ExportedRow, redact: Redact): ExportedRow {
  const { dispatch, url, conclusion, externalId, error } = row;
  const told = { dispatch, url, conclusion, externalId, error };
  return { ...row, ...(redactTexts(told, redact) as typeof told) };
}

export function createCsvWriter(database: Pick<Database, "readExportedRows">, redact: Redact): PageWriter {
  return {
    header: toCsvHeader(CSV_COLUMNS),
    limit: 1_000,
    async read(page) {
      const rows = await database.readExportedRows(page);
      return {
        lines: rows.map((row) => toCsvLine(CSV_COLUMNS, redactRow(row, redact))),
        lastId: rows.at(-1)?.id,
      };
    },
  };
}

export function createRecordWriter(database: Pick<Database, "readRecords">, redact: Redact): PageWriter {
  return {
    header: "",
    // Evidence may be long.
    limit: 200,
    async read(page) {
      const records = await database.readRecords(page);
      return { lines: records.map((record) => toRecordLine(record, redact)), lastId: records.at(-1)?.id };
    },
  };
}

/** The content stays as it was hashed; what a trainer said since may hold a secret that was set later. */
function toRecordLine(record: DecisionRecord, redact: Redact): string {
  return `${JSON.stringify({ ...record, training: redactTexts(record.training, redact) })}\n`;
}
