import type pg from "pg";
import { MOST_LABELLED_FEATURES } from "../core/label-limit.ts";
import { queryPrepared } from "./prepared.ts";

/** What the metrics show of a model's latest decision. Times are Unix seconds. */
export interface ModelGauges {
  /** When it read its evidence. */
  takenAt: number;
  /** When it is due for re-evaluation; null for never. */
  nextLookAt: number | null;
  bufferSize: number | null;
  /** Whether drift runs were missing; null if none are expected. */
  driftRunsMissing: boolean | null;
  /** The newest check that it saw; null for none. */
  checkedAt: number | null;
  /** The newest check of each feature that it saw: feature, score, threshold. */
  features: [string, number | null, number | null][];
}

/** The id of a model's latest decision, and what the metrics show of it; null if it is the one that is known already. */
export interface LatestGauges {
  model: string;
  id: number;
  gauges: ModelGauges | null;
}

/** Reads what the metrics show of the models. */
export function createModelGaugeStore({ pool }: { pool: pg.Pool }) {
  return {
    /**
     * The latest decision of each model that has one, by one search of an index per model. The evidence, which takes most of
     * the time, is read only for those that are new.
     *
     * @param known The ids that are known already, by the name of each model; 0 for none.
     */
    async listModelGauges(known: ReadonlyMap<string, number>): Promise<LatestGauges[]> {
      const values = [[...known.keys()], [...known.values()]];
      return (await queryPrepared<LatestGauges>(pool, LIST_GAUGES, values)).rows;
    },
  };
}

const EPOCH = (instant: string): string => `extract(epoch FROM ${instant})::float8`;

// BETWEEN leaves only the index that begins with the model: see `isModel` in pages/standings.ts. OFFSET 0 keeps the planner from
// unpacking the evidence once for each figure.
const LIST_GAUGES = `
SELECT models.model, latest.id, CASE WHEN latest.id <> models.known THEN (
  SELECT json_build_object('takenAt', ${EPOCH("decision.taken_at")}, 'nextLookAt', ${EPOCH("decision.next_look_at")},
    'bufferSize', decision.buffer_size, 'driftRunsMissing', decision.explanation #>> '{driftRuns,state}' = 'missing',
    'checkedAt', ${EPOCH("(newest #>> '{0,checkedAt}')::timestamptz")},
    'features', COALESCE((SELECT json_agg(json_build_array(feature, score, threshold)) FROM (
      SELECT DISTINCT ON (feature) feature, "check" -> 'score' AS score, "check" -> 'threshold' AS threshold
      FROM (SELECT "check", position, "check" ->> 'feature' AS feature
        FROM jsonb_array_elements(newest) WITH ORDINALITY AS checks ("check", position)) AS named
      WHERE feature IS NOT NULL ORDER BY feature, position LIMIT ${MOST_LABELLED_FEATURES}) AS features), '[]'))
  FROM (SELECT *, evidence #> '{checks,newest}' AS newest FROM retraining_decisions WHERE id = latest.id OFFSET 0) AS decision
) END AS gauges
FROM unnest($1::text[], $2::int[]) AS models (model, known)
CROSS JOIN LATERAL (
  SELECT id FROM retraining_decisions AS decision
  WHERE decision.model BETWEEN models.model AND models.model AND run_id IS NOT NULL ORDER BY decision.model, id DESC LIMIT 1
) AS latest`;
