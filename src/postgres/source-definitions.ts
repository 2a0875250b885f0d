import {
  BUFFER_COLUMNS,
  type BufferColumn,
  type BufferSource,
  CHECKS_COLUMNS,
  type ChecksColumn,
  type ChecksSource,
} from "../settings/sources.ts";
import { nameOwnTable } from "./own-schema.ts";
import type { ColumnKind } from "./source-columns.ts";

/** How a source says which table and columns it has. */
export interface SourceDefinition<C extends string> {
  part: "checks" | "buffer";
  /** The variable that names the table if there is no YAML file. */
  variable: string;
  table: string;
  /** Whether the table is ours, because the model's data is reported. */
  isOurs: boolean;
  columns: Readonly<Partial<Record<C, string | null>>>;
  guideNames: Readonly<Record<C, string>>;
  where: Readonly<Record<string, string | number | boolean>>;
  kinds: Readonly<Record<C, readonly ColumnKind[] | "any">>;
}

const NUMBERS: readonly ColumnKind[] = ["integer", "float", "numeric"];
const FIGURES: readonly ColumnKind[] = [...NUMBERS, "text"];
/** The kinds of columns that hold times. */
export const TIMES: readonly ColumnKind[] = [...FIGURES, "timestamp", "timestamptz", "date"];

/** The checks of a model. @param schema That of our tables. */
export function defineChecks(
  model: string,
  source: ChecksSource,
  schema: string | null,
): SourceDefinition<ChecksColumn> {
  return {
    part: "checks",
    variable: "DRIFT_ALERTS_TABLE",
    guideNames: CHECKS_COLUMNS,
    ...(source.kind === "table" ? source : { ...REPORTED_CHECKS, where: { model } }),
    table: locateChecks(source, schema),
    isOurs: source.kind === "reported",
    kinds: {
      id: "any",
      checkedAt: TIMES,
      feature: "any",
      score: FIGURES,
      threshold: FIGURES,
      triggered: [...FIGURES, "boolean"],
      samples: FIGURES,
      notes: "any",
    },
  };
}

/** The buffer of a model. @param schema That of our tables. */
export function defineBuffer(
  model: string,
  source: BufferSource,
  schema: string | null,
): SourceDefinition<BufferColumn> {
  return {
    part: "buffer",
    variable: "RATINGS_BUFFER_TABLE",
    guideNames: BUFFER_COLUMNS,
    ...(source.kind === "table" ? source : { ...REPORTED_BUFFER, where: { model } }),
    table: locateBuffer(source, schema),
    isOurs: source.kind === "reported",
    kinds: { batch: "any", time: TIMES, ingestedAt: TIMES },
  };
}

/** The table of a model's checks or buffer, with a schema if it needs one. @param schema That of our tables. */
export function locateChecks(source: ChecksSource, schema: string | null): string {
  return source.kind === "table" ? source.table : nameOwnTable(schema, REPORTED_CHECKS.table);
}

export function locateBuffer(source: BufferSource, schema: string | null): string {
  return source.kind === "table" ? source.table : nameOwnTable(schema, REPORTED_BUFFER.table);
}

/** Retrigger's own tables that hold what detectors and pipelines reported, as sources. */
export const REPORTED_CHECKS = {
  table: "retraining_reported_checks",
  columns: {
    id: "id",
    checkedAt: "checked_at",
    feature: "feature",
    score: "score",
    threshold: "threshold",
    triggered: "triggered",
    samples: "samples",
    // notes: not named, because a table that migration 007 has not reached yet can be read without.
  },
} as const;

export const REPORTED_BUFFER = {
  table: "retraining_reported_growth",
  columns: { batch: "batch", time: "arrived_at", ingestedAt: "arrived_at" },
} as const;
