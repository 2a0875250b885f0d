import type pg from "pg";

/** An event that the inbox accepted. Times are ISO 8601. */
export interface EventRow {
  id: number;
  model: string;
  /** The drift run's own id. */
  eventRunId: string;
  source: string | null;
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
            ? "AND event.id < $3"
            : "AND (received_at, event.id) < (SELECT received_at, id FROM retraining_events WHERE id = $3)",
      ];
      const order = orderOf(model, isOpen);
      const text = `WITH given AS (SELECT $2::text, $3::bigint)
SELECT event.id::float8 AS id, model, event_run_id AS "eventRunId", source,
  to_json(received_at) #>> '{}' AS "receivedAt", outcome, decision_id AS "decisionId"
FROM retraining_events AS event WHERE true ${conditions.join(" ")} ORDER BY ${order} LIMIT $1`;
      return (await pool.query<EventRow>(text, [limit, model ?? null, before ?? null])).rows;
    },
  };
}

/**
 * Each order has an index, if it names the columns of the table: a bare "id" would be the float8 that is returned. Events that
 * no decision covers are few and have one of their own: "+ 0" keeps the planner from searching all events backwards for them.
 */
function orderOf(model: string | undefined, isOpen: boolean): string {
  if (model !== undefined) return "received_at DESC, event.id DESC";
  return isOpen ? "event.id + 0 DESC" : "event.id DESC";
}
