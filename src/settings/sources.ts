/** Where a model's drift checks come from. */
export type ChecksSource =
  | {
      kind: "table";
      /** Table or view, with or without a schema: `drift_alerts`, `monitoring.drift_alerts`. */
      table: string;
      /** The column of each figure; null: there is none; undefined: the guide's name, if the table has such a column. */
      columns: Readonly<Partial<Record<ChecksColumn, string | null>>>;
      /** Only rows in which each column has this value. */
      where: Readonly<Record<string, string | number | boolean>>;
    }
  /** What detectors reported to Retrigger itself. */
  | { kind: "reported" };

/** Where a model's new data is counted. */
export type BufferSource = {
  /** What is counted, in the plural: `ratings`. */
  unit: string;
  /** Count only what arrived since the last successful training; null: everything. */
  since: "lastTraining" | null;
} & (
  | {
      kind: "table";
      table: string;
      columns: Readonly<Partial<Record<BufferColumn, string | null>>>;
      where: Readonly<Record<string, string | number | boolean>>;
    }
  | { kind: "reported" }
);

/** The columns of drift checks and their names in the guide. */
export const CHECKS_COLUMNS = {
  id: "id",
  checkedAt: "alert_date",
  feature: "feature_name",
  score: "drift_score",
  threshold: "threshold",
  triggered: "alert_triggered",
  samples: "samples",
  notes: "notes",
} as const;
export type ChecksColumn = keyof typeof CHECKS_COLUMNS;

/** The columns of the buffer and their names in the guide. */
export const BUFFER_COLUMNS = {
  batch: "batch_id",
  time: "timestamp",
  ingestedAt: "ingested_at",
} as const;
export type BufferColumn = keyof typeof BUFFER_COLUMNS;

/** Where a model's evidence comes from. */
export interface Sources {
  checks: ChecksSource;
  buffer: BufferSource;
  /** The variable that holds the URL of a database of its own, and that URL; null: the database of Retrigger. */
  database: { variable: string; url: string } | null;
}

/** The tables of the guide. */
export const GUIDE_TABLES = { checks: "drift_alerts", buffer: "ratings_buffer" } as const;

/** Whether a model reads the guide's own tables, for which some texts are meant. */
export function isGuide({ checks, buffer, database }: Sources): boolean {
  return (
    database === null &&
    checks.kind === "table" &&
    checks.table === GUIDE_TABLES.checks &&
    buffer.kind === "table" &&
    buffer.table === GUIDE_TABLES.buffer
  );
}
