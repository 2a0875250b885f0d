import { hasKind, mayBeAfter, toFiniteFigure, toInstant } from "../column-sql.ts";
import {
  describeConditions,
  describeFeature,
  describeTriggered,
  LATEST_TIME,
  valueOf,
  whereAll,
} from "../checks-sql.ts";
import { createParameters, type Statement } from "../parameters.ts";
import { quoteTable } from "../source-columns.ts";
import { createSourceReader, type SourceReaderOptions } from "../source-reader.ts";
import type { ChecksTable, JudgedSources } from "../source-tables.ts";

/** A drift check as its source has it. */
export interface CheckRow {
  /** ISO 8601. */
  at: string;
  feature: string | null;
  score: number | null;
  threshold: number | null;
  triggered: boolean;
}

export interface CheckFilter {
  /** How far back to read, in seconds. */
  seconds: number;
  feature: string | null;
  limit: number;
}

/** A page does not wait longer. */
const LIMIT_MS = 5_000;

/** Reads the drift checks of a model's source, for charts. */
export function createCheckHistory({ timeZone, ...source }: SourceReaderOptions & { timeZone: string }) {
  const readSource = createSourceReader(source, LIMIT_MS);
  return {
    /** The newest checks of a model within a time, newest first. @throws PermanentError if the source is wrong. */
    async readCheckHistory(model: string, config: JudgedSources, filter: CheckFilter): Promise<CheckRow[]> {
      const [row] = await readSource({ model, config, part: "checks" }, (tables) =>
        buildHistory(tables.checks, filter, timeZone),
      );
      return row?.["checks"] as CheckRow[];
    },
  };
}

function buildHistory(
  table: ChecksTable | undefined,
  { seconds, feature, limit }: CheckFilter,
  timeZone: string,
): Statement {
  const checkedAt = valueOf(table?.columns.checkedAt);
  if (!table || checkedAt === null) throw new Error("the source of checks has no column with their time");
  const { columns } = table;
  const parameters = createParameters();
  const start = `(now() - make_interval(secs => ${parameters.integer(seconds)}))`;
  const name = describeFeature(table);
  const conditions = [
    hasKind(checkedAt),
    mayBeAfter(checkedAt, start),
    ...describeConditions(table, parameters),
    feature === null ? null : `${name} = ${parameters.text(feature)}`,
  ];
  const text = `SELECT COALESCE(json_agg(json_build_object('at', at, 'feature', feature, 'score', score, 'threshold', threshold,
    'triggered', triggered) ORDER BY at DESC), '[]') AS checks FROM (
  SELECT * FROM (
    SELECT ${toInstant(checkedAt, parameters.text(timeZone))} AS at, ${name} AS feature, ${toFiniteFigure(valueOf(columns.score))} AS score,
      ${toFiniteFigure(valueOf(columns.threshold))} AS threshold, ${describeTriggered(table)} AS triggered
    FROM ${quoteTable(table.table)} AS source ${whereAll(conditions)}
  ) AS source WHERE at > ${start} AND at < ${LATEST_TIME} ORDER BY at DESC LIMIT ${parameters.integer(limit)}
) AS newest`;
  return { text, parameters: parameters.list };
}
