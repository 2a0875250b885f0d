import type pg from "pg";

/** An event that the inbox accepted. Times are ISO 8601. */
export interface EventRow {
  id: number;
  model: string;
  /** The drift run's own id. */
  eventRunId: string;
  source: string | null;
  status: string | null;
  completedAt: string | null;
  receivedAt: string;
  outcome: "started" | "folded" | "drift_run_failed";
  /** The decision that covers it; null as long as there is none. */
  decisionId: number | null;
}

export interface EventFilter {
  model?: string | undefined;
  /** Only events that no decision covers. */
  isOpen?: boolean | undefined;
  /** Only events before this one. */
  before?: number | undefined;
  limit: number;
}

/** Lists events across models. */
export function createEventLog({ pool }: { pool: pg.Pool }) {
  return {
    /** The newest events, newest first. */
    async listEvents({ model, isOpen = false, before, limit }: EventFilter): Promise<EventRow[]> {
      const conditions = [
        model === undefined ? "" : "AND model = $2",
        isOpen ? "AND decision_id IS NULL AND outcome <> 'drift_run_failed'" : "",
        before === undefined
          ? ""
          : model === undefined
            ? "AND id < $3"
            : "AND (received_at, id) < (SELECT received_at, id FROM retraining_events WHERE id = $3)",
      ];
      // Each order has an index.
      const order = model === undefined ? "id DESC" : "received_at DESC, id DESC";
      const text = `WITH given AS (SELECT $2::text, $3::bigint)
SELECT id::float8 AS id, model, event_run_id AS "eventRunId", source, status, to_json(completed_at) #>> '{}' AS "completedAt",
  to_json(received_at) #>> '{}' AS "receivedAt", outcome, decision_id AS "decisionId"
FROM retraining_events WHERE true ${conditions.join(" ")} ORDER BY ${order} LIMIT $1`;
      return (await pool.query<EventRow>(text, [limit, model ?? null, before ?? null])).rows;
    },
  };
}
