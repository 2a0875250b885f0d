import type pg from "pg";
import { WRITTEN_DATE } from "./decision-sql.ts";
import { selectModelNames } from "./model-names.ts";

/** The columns of a decision that say what was decided, and its place in the chain. JSON columns are the text of their value. */
export interface RecordedRow {
  id: number;
  runId: string | null;
  model: string;
  cause: string | null;
  decision: string | null;
  reason: string | null;
  reasonCodes: string | null;
  /** A whole number, which JavaScript might not hold. */
  bufferSize: string | null;
  driftScore: number | null;
  driftRatio: number | null;
  notes: string | null;
  trainer: string | null;
  evidence: string | null;
  criteria: string | null;
  policy: string | null;
  policyHash: string | null;
  alertIds: string | null;
  previousId: number | null;
  explanation: string | null;
  forced: string | null;
  shadow: string | null;
  evaluator: number | null;
  /** In UTC, as Postgres writes a time in JSON, without a zone. */
  nextLookAt: string | null;
  newestAlertAt: string | null;
  takenAt: string | null;
  /** As in `decision_date`; in UTC if that has a zone. */
  decisionDate: string | null;
  /** Hexadecimal digits. */
  contentSha256: string | null;
  previousSha256: string | null;
  sha256: string | null;
}

/** What is left of a model's pruned decisions. */
export interface PrunedHead {
  model: string;
  decisionId: number;
  sha256: string | null;
  /** How many were removed in all. */
  decisions: number;
}

/** The newest chained decision of a model. */
export interface ChainHead {
  model: string;
  decisionId: number;
  sha256: string;
  /** ISO 8601; null if its row has no date. */
  at: string | null;
}

/** Which rows are read: ids from `after` to `upTo`, in order. */
export interface RowRange {
  model: string | null;
  after: number;
  upTo: number;
  limit: number;
}

/** Reads decisions as they are recorded, to verify them. */
export function createVerificationStore({ pool, timeZone }: { pool: pg.Pool; timeZone: string }) {
  const readPage = async (condition: string, values: readonly unknown[], limit: number) =>
    (
      await pool.query<StoredRow>(
        `SELECT ${COLUMNS} FROM retraining_decisions WHERE ${condition} LIMIT ${limit}`,
        [...values],
      )
    ).rows.map(toRecorded);

  return {
    /** The newest decision there is, and how many there are, of a model or of all. */
    async measureDecisions(model: string | null): Promise<{ newestId: number; count: number }> {
      const { rows } = await pool.query<{ newestId: number; count: number }>(
        `SELECT COALESCE(max(id), 0) AS "newestId", count(*)::float8 AS count FROM retraining_decisions
         WHERE $1::text IS NULL OR model = $1`,
        [model],
      );
      return rows[0] ?? { newestId: 0, count: 0 };
    },

    /** Decisions in the order of their ids. */
    async readRecorded({ model, after, upTo, limit }: RowRange): Promise<RecordedRow[]> {
      const values = [after, upTo];
      return model === null
        ? readPage("id > $1::bigint AND id <= $2::bigint ORDER BY id", values, limit)
        : readPage(
            "model = $3 AND id > $1::bigint AND id <= $2::bigint ORDER BY model, id",
            [...values, model],
            limit,
          );
    },

    /**
     * A decision with the chained ones of its model before and after it; after one without a hash, the next of any run. Null if there
     * is none.
     */
    async readWithNeighbours(
      id: number,
    ): Promise<{ row: RecordedRow; previous: RecordedRow | null; next: RecordedRow | null } | null> {
      const [row] = await readPage("id = $1", [id], 1);
      if (!row) return null;
      const [previous, next] = await Promise.all([
        readPage("model = $2 AND id < $1 AND sha256 IS NOT NULL ORDER BY id DESC", [id, row.model], 1),
        readPage(
          `model = $2 AND id > $1 AND ${row.sha256 === null ? "(sha256 IS NOT NULL OR run_id IS NOT NULL)" : "sha256 IS NOT NULL"} ORDER BY id`,
          [id, row.model],
          1,
        ),
      ]);
      return { row, previous: previous[0] ?? null, next: next[0] ?? null };
    },

    /** The model and the hash of a decision; null if there is none. */
    async readHash(id: number): Promise<{ model: string; sha256: string | null } | null> {
      const { rows } = await pool.query<{ model: string; sha256: string | null }>(
        "SELECT model, encode(sha256, 'hex') AS sha256 FROM retraining_decisions WHERE id = $1",
        [id],
      );
      return rows[0] ?? null;
    },

    async listPruned(): Promise<PrunedHead[]> {
      const { rows } = await pool.query<PrunedHead>(
        `SELECT model, decision_id AS "decisionId", encode(sha256, 'hex') AS sha256, decisions::float8 AS decisions
         FROM retraining_pruned ORDER BY model`,
      );
      return rows;
    },

    /** The newest chained decision of each model, or of one. */
    async listHeads(model: string | null): Promise<ChainHead[]> {
      return (await pool.query<ChainHead>(LIST_HEADS, [timeZone, model])).rows;
    },

    /** Every model that something is recorded about. */
    async listRecordedModels(): Promise<string[]> {
      const { rows } = await pool.query<{ model: string }>(LIST_MODELS);
      return rows.map(({ model }) => model);
    },
  };
}

/** A row whose figures are hexadecimal digits. */
type StoredRow = Omit<RecordedRow, "driftScore" | "driftRatio"> &
  Record<"driftScore" | "driftRatio", string | null>;

function toRecorded(row: StoredRow): RecordedRow {
  return { ...row, driftScore: toFigure(row.driftScore), driftRatio: toFigure(row.driftRatio) };
}

/** As text, Postgres rounds a figure as the session's extra_float_digits says. */
const bits = (column: string): string => `encode(float8send(${column}), 'hex')`;

function toFigure(digits: string | null): number | null {
  return digits === null ? null : Buffer.from(digits, "hex").readDoubleBE();
}

const utc = (column: string): string => `to_json(${column} AT TIME ZONE 'UTC') #>> '{}'`;

const COLUMNS = `id, run_id AS "runId", model, cause, decision, reason, to_json(reason_codes)::text AS "reasonCodes",
  buffer_size::text AS "bufferSize", ${bits("drift_score")} AS "driftScore", ${bits("drift_ratio")} AS "driftRatio", notes, trainer,
  evidence::text AS evidence, criteria::text AS criteria, policy::text AS policy, policy_hash AS "policyHash",
  to_json(alert_ids)::text AS "alertIds", previous_id AS "previousId", explanation::text AS explanation, forced::text AS forced,
  shadow::text AS shadow, evaluator, ${utc("next_look_at")} AS "nextLookAt", ${utc("newest_alert_at")} AS "newestAlertAt",
  ${utc("taken_at")} AS "takenAt",
  ${WRITTEN_DATE} AS "decisionDate",
  encode(content_sha256, 'hex') AS "contentSha256", encode(previous_sha256, 'hex') AS "previousSha256",
  encode(sha256, 'hex') AS sha256`;

const DECIDED = selectModelNames("retraining_decisions");

const LIST_HEADS = `
SELECT models.model, head.id AS "decisionId", encode(head.sha256, 'hex') AS sha256,
  to_json(head.decision_date AT TIME ZONE $1::text) #>> '{}' AS at
FROM (${DECIDED}) AS models CROSS JOIN LATERAL (
  SELECT id, sha256, decision_date FROM retraining_decisions
  WHERE model = models.model AND sha256 IS NOT NULL ORDER BY id DESC LIMIT 1
) AS head
WHERE ($2::text IS NULL OR models.model = $2) ORDER BY models.model`;

const LIST_MODELS = `${DECIDED}
UNION SELECT model_name FROM retraining_dispatches WHERE model_name IS NOT NULL
UNION SELECT model FROM retraining_events
UNION SELECT model FROM retraining_pruned ORDER BY model`;
