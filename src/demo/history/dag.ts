import type { Client } from "pg";
import { QUIET_WEEKS } from "../../embedded/sample-data.ts";
import { DAY_MS, type Step } from "./model-history.ts";

/** The Airflow DAG that Retrigger replaces, as it decides by itself on the guide's tables. */
export interface Dag {
  /**
   * Decides and writes a row. Without a recent check it crashes, so there is none. Returns the size of the buffer.
   *
   * @param at Unix milliseconds.
   * @param size The ratings that it finds; null to count them.
   */
  run(at: number, size: number | null): Promise<number | null>;
}

/** @param client A connection for this alone. */
export function createDag(client: Pick<Client, "query">): Dag {
  return {
    async run(at, size) {
      const { rows } = await client.query<{ size: number }>(RUN, [new Date(at), size]);
      return rows[0]?.size ?? null;
    },
  };
}

const MINUTE_MS = 60_000;
/** It starts this long after the week's drift run has been decided about, and then every day. */
const DELAY_MS = 2 * MINUTE_MS;

/** Its daily runs in the quiet weeks. */
export function listDagRuns(dag: Dag, now: Date): Step[] {
  let size: number | null = null;
  return Array.from({ length: QUIET_WEEKS * 7 }, (_, day) => {
    const at = now.getTime() - (QUIET_WEEKS * 7 - day) * DAY_MS + DELAY_MS;
    const run = async (): Promise<void> => {
      // The buffer changes once a week.
      size = await dag.run(at, day % 7 === 0 ? null : size);
    };
    return { at, run };
  });
}

/** How many ratings were back while the buffer was merged: the DAG reads alerts and buffer at two moments. */
const COUNTED_IN_MERGE = 12_400;
const CAUGHT_UP = 6;

/** Its runs of the present week: one while the buffer is merged, then those of a day that Airflow catches up with. */
export async function runDagToday(dag: Dag, now: Date): Promise<void> {
  const first = now.getTime() - 4 * MINUTE_MS;
  await dag.run(first, COUNTED_IN_MERGE);
  for (let run = 1; run <= CAUGHT_UP; run += 1) await dag.run(first + (run * MINUTE_MS) / 2, null);
}

// $1 the time, $2 the size of the buffer or NULL.
const RUN = `
INSERT INTO retraining_decisions (decision_date, decision, reason, buffer_size, drift_score, notes)
SELECT $1::timestamptz AT TIME ZONE 'UTC', CASE WHEN fires THEN 'trigger_mock' ELSE 'no_action' END,
  CASE WHEN fires THEN 'drift_detected' ELSE 'criteria_not_met' END, size, CASE WHEN fires THEN score END,
  CASE WHEN fires THEN 'MOCK: Would trigger GitHub Actions. Feature: ' || feature
    ELSE format('No retraining needed. Triggered alerts: %s, Buffer: %s', alerts, ltrim(to_char(size, '999,999,999'))) END
FROM (
  SELECT count(*) AS checks, count(*) FILTER (WHERE alert_triggered) AS alerts,
    (array_agg(drift_score ORDER BY alert_date DESC) FILTER (WHERE alert_triggered))[1] AS score,
    (array_agg(feature_name ORDER BY alert_date DESC) FILTER (WHERE alert_triggered))[1] AS feature
  FROM drift_alerts WHERE alert_date > ($1::timestamptz AT TIME ZONE 'UTC') - interval '168 hours'
) AS recent
CROSS JOIN LATERAL (SELECT COALESCE($2::bigint, (SELECT count(*) FROM ratings_buffer)) AS size) AS buffer
CROSS JOIN LATERAL (SELECT alerts >= 1 AND size >= 50000 AS fires) AS verdict
WHERE checks > 0
RETURNING buffer_size::float8 AS size`;
