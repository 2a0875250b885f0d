import type pg from "pg";
import { queryPrepared } from "./prepared.ts";

/** How far a reader of changes has come. */
export interface ChangeCursor {
  decisionId: number;
  /** Of the newest change of a training, ISO 8601 with microseconds. */
  trainingAt: string;
}

/** A decision that was recorded, or a training that changed. */
export interface Change {
  kind: "decision" | "training";
  /** The same change has the same key, however often it is read. */
  key: string;
  decisionId: number;
  /** Only of a training: when it changed. */
  at: string | null;
  data: object;
}

/** Reads what has changed, for streams. */
export function createChangeStore({ pool }: { pool: pg.Pool }) {
  return {
    /** The cursor of a reader that wants only what comes next. */
    async readChangeCursor(): Promise<ChangeCursor> {
      const { rows } = await queryPrepared<ChangeCursor>(
        pool,
        `SELECT COALESCE(max(id), 0) AS "decisionId", to_json(now()) #>> '{}' AS "trainingAt" FROM retraining_decisions`,
        [],
      );
      return rows[0] as ChangeCursor;
    },

    /** Differs as soon as a decision was recorded, a training has changed or an outcome was reported since. */
    async readVersion(): Promise<string> {
      const { rows } = await queryPrepared<{ version: string }>(pool, READ_VERSION, []);
      return rows[0]?.version ?? "";
    },

    /**
     * The changes after a cursor, the oldest first. Those of the last seconds before it are read again, because a transaction
     * that began earlier may have committed since: tell them apart by their keys.
     *
     * @param decisionId Only of this decision; null for all.
     */
    async listChanges(
      { decisionId: after, trainingAt }: ChangeCursor,
      decisionId: number | null,
    ): Promise<Change[]> {
      return (await queryPrepared<Change>(pool, LIST_CHANGES, [after, trainingAt, decisionId])).rows;
    },
  };
}

const READ_VERSION = `SELECT concat((SELECT max(id) FROM retraining_decisions), '~',
  extract(epoch FROM (SELECT max(updated_at) FROM retraining_dispatches)), '~',
  extract(epoch FROM (SELECT max(reported_at) FROM retraining_outcomes))) AS version`;

const LIST_CHANGES = `
(SELECT 'decision' AS kind, 'd' || id AS key, id AS "decisionId", NULL AS at, json_build_object('id', id, 'runId', run_id,
    'model', model, 'cause', cause, 'decision', decision, 'reason', reason) AS data
  FROM retraining_decisions WHERE id > $1::int - 50 AND run_id IS NOT NULL AND ($3::int IS NULL OR id = $3)
  ORDER BY id LIMIT 1000)
UNION ALL
(SELECT 'training', 't' || id || '.' || version, decision_id, to_json(updated_at) #>> '{}', json_build_object(
    'decisionId', decision_id, 'model', model_name, 'trainer', trainer, 'state', state, 'reason', reason_code,
    'externalId', external_id, 'url', url, 'status', status, 'conclusion', conclusion, 'error', error)
  FROM (
    (SELECT * FROM retraining_dispatches WHERE updated_at > $2::timestamptz AND ($3::int IS NULL OR decision_id = $3)
      ORDER BY updated_at LIMIT 1000)
    UNION ALL
    (SELECT * FROM retraining_dispatches WHERE updated_at > $2::timestamptz - interval '10 seconds'
      AND updated_at <= $2::timestamptz AND ($3::int IS NULL OR decision_id = $3) ORDER BY updated_at DESC LIMIT 1000)
  ) AS changed ORDER BY updated_at)`;
