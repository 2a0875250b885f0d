import type pg from "pg";
import { toMs } from "../core/duration.ts";
import type { DagRow, OwnDecision } from "../core/parity/rows.ts";
import type { PointInTime } from "../core/point-in-time.ts";
import { decisionInstant } from "./evidence-sql.ts";

/** What the DAG and Retrigger decided in a period. */
export interface ParityRows {
  /** The period, ISO 8601, by the database's clock. */
  since: string;
  now: string;
  /** In the order of their ids. */
  dag: DagRow[];
  /** Also those of the days before, on whose state the DAG's first rows may be. */
  own: OwnDecision[];
}

/** How long one state lasts at most: then its checks have left the DAG's window. */
const LONGEST_STATE = "interval '8 days'";

/** The most rows of each side that are compared. */
export const MOST_COMPARED = 10_000;

/** Reads the decisions of the DAG and of Retrigger. @param timeZone IANA zone of `decision_date`. */
export function createParityStore({ pool, timeZone }: { pool: pg.Pool; timeZone: string }) {
  return {
    /**
     * Reads both sides in one snapshot, one row more of each than `MOST_COMPARED` if there are as many.
     *
     * @param dagModels The names under which the DAG's rows are.
     */
    async readParityRows(
      model: string,
      dagModels: readonly string[],
      { ago, at }: PointInTime,
    ): Promise<ParityRows> {
      const seconds = ago === null ? null : toMs(ago) / 1000;
      const { rows } = await pool.query<ParityRows>(READ_ROWS, [model, dagModels, timeZone, at, seconds]);
      return rows[0] as ParityRows;
    },
  };
}

const DECIDED = decisionInstant({ zone: "$3::text" })("decision_date");

const figureOf = (id: string): string =>
  `(SELECT criterion -> 'required' FROM jsonb_array_elements(criteria) AS criterion WHERE criterion ->> 'id' = '${id}' LIMIT 1)`;

// $1 model, $2 names of the DAG's rows, $3 time zone, $4 start or NULL, $5 seconds back. A row of the DAG without a date is read
// in any case: it is to be named.
const READ_ROWS = `
WITH period AS (SELECT COALESCE($4::timestamptz, now() - make_interval(secs => $5::float8)) AS since)
SELECT to_json(since) #>> '{}' AS since, to_json(now()) #>> '{}' AS now,
  COALESCE((SELECT json_agg(json_build_object('id', id, 'at', at, 'decision', decision, 'bufferSize', buffer_size, 'notes', notes)
    ORDER BY id) FROM (
    SELECT * FROM (
      SELECT id, ${DECIDED} AS at, decision, buffer_size, notes FROM retraining_decisions
      WHERE run_id IS NULL AND model = ANY($2::text[])
    ) AS dated WHERE at >= since OR at IS NULL ORDER BY id LIMIT ${MOST_COMPARED + 1}) AS dag), '[]') AS dag,
  COALESCE((SELECT json_agg(json_build_object('id', id, 'at', taken_at, 'decision', decision,
    'codes', COALESCE(reason_codes, string_to_array(reason, ',')), 'bufferSize', buffer_size,
    'triggered', COALESCE(evidence #> '{checks,triggered}', '0'), 'window', evidence ->> 'window',
    'checkTimes', (SELECT COALESCE(json_agg(DISTINCT item ->> 'checkedAt'), '[]')
      FROM jsonb_array_elements(evidence #> '{checks,newest}') AS item),
    'alerts', (SELECT COALESCE(json_agg(json_build_object('id', item ->> 'id', 'at', item ->> 'checkedAt')), '[]')
      FROM jsonb_array_elements(evidence #> '{checks,newestTriggered}') AS item),
    'required', json_build_object('bufferSize', ${figureOf("buffer_size")}, 'alerts', ${figureOf("drift_alerts")}))
    ORDER BY id) FROM (
    SELECT * FROM retraining_decisions WHERE model = $1 AND run_id IS NOT NULL AND taken_at >= since - ${LONGEST_STATE}
    ORDER BY id LIMIT ${MOST_COMPARED + 1}) AS own), '[]') AS own
FROM period`;
