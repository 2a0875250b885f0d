import type pg from "pg";
import type { StandingInput } from "../../core/standing.ts";
import { queryPrepared } from "../prepared.ts";

/** What is known about a model without reading its sources. */
export interface ModelFacts extends Omit<StandingInput, "isReady"> {
  model: string;
}

/** What a row of the overview shows besides. */
export interface ModelFigures {
  model: string;
  /** Why the latest decision is what it is; null without a decision, or from a version that did not say. */
  why: string | null;
  /** The nearest change that would turn it. */
  flip: { text: string; eta: { at: string; text: string } | null } | null;
  /** The first criterion of the policy that measures the buffer; null without one. */
  buffer: { required: number; actual: number } | null;
  /** The latest decisions, the oldest first. */
  points: { size: number | null; ratio: number | null }[];
}

/** What a decision was judged by, as it was recorded. */
export interface RecordedBasis {
  id: number;
  evidence: unknown;
  policy: unknown;
}

const POINTS = 24;

/** Reads what the overview of the models shows. */
export function createStandingStore({ pool, timeZone }: { pool: pg.Pool; timeZone: string }) {
  return {
    /**
     * The state of models, by their names. The time it takes grows with the number of models, not of decisions or events.
     *
     * @param models Whether drift runs are expected of each.
     */
    async listModelFacts(models: ReadonlyMap<string, boolean>): Promise<ModelFacts[]> {
      const values = [[...models.keys()], [...models.values()], timeZone];
      return (await queryPrepared<ModelFacts>(pool, LIST_FACTS, values)).rows;
    },

    async listModelFigures(models: readonly string[]): Promise<ModelFigures[]> {
      return (await queryPrepared<ModelFigures>(pool, LIST_FIGURES, [models])).rows;
    },

    async listBases(decisionIds: readonly number[]): Promise<RecordedBasis[]> {
      return (await queryPrepared<RecordedBasis>(pool, LIST_BASES, [decisionIds])).rows;
    },
  };
}

const ISO = (instant: string): string => `to_json(${instant}) #>> '{}'`;

/**
 * Whether a row is of the model of `models`, for a search of its newest rows. With "=" the planner may search the rows of all
 * models backwards by their id, which takes long for a model that has hardly any. A range, together with an order that begins
 * with the model, leaves only the index that begins with it.
 */
const isModel = (column: string): string => `${column} BETWEEN models.model AND models.model`;

// Few models are snoozed, await an approval or have an unknown dispatch: these are read once, not searched for each model. An
// unknown dispatch blocks its model, whatever came after it.
const LIST_FACTS = `
SELECT models.model,
  CASE WHEN latest.id IS NOT NULL THEN json_build_object('id', latest.id, 'decision', latest.decision,
    'codes', COALESCE(latest.reason_codes, '{}'), 'decidedAt', latest.decision_date AT TIME ZONE $3::text,
    'isDue', COALESCE(latest.next_look_at < now() - interval '1 minute', false), 'nextLookAt', latest.next_look_at,
    'driftRunsMissing', CASE WHEN models.expects_runs THEN latest.explanation #>> '{driftRuns,state}' = 'missing' ELSE false END)
  END AS latest,
  CASE WHEN training.id IS NOT NULL THEN json_build_object('decisionId', training.decision_id, 'trainer', training.trainer,
    'state', training.state, 'isUnrequested', training.state = 'cancelled' AND training.reason_code IS NOT NULL,
    'requestedAt', COALESCE(training.asked_at, training.created_at), 'endedAt', training.ended_at) END AS training,
  CASE WHEN approval.decision_id IS NOT NULL THEN json_build_object('decisionId', approval.decision_id,
    'expiresAt', approval.expires_at) END AS approval,
  ${ISO("snooze.until")} AS "snoozedUntil",
  (SELECT ${ISO("min(received_at)")} FROM retraining_events AS event
    WHERE event.model = models.model AND decision_id IS NULL AND outcome <> 'drift_run_failed'
      AND received_at > COALESCE(latest.taken_at, '-infinity') AND received_at < now() - interval '2 minutes') AS "waitingSince"
FROM unnest($1::text[], $2::boolean[]) AS models (model, expects_runs)
LEFT JOIN LATERAL (
  SELECT id, decision, reason_codes, decision_date, next_look_at, taken_at, explanation FROM retraining_decisions AS decision
  WHERE ${isModel("decision.model")} AND run_id IS NOT NULL ORDER BY decision.model, id DESC LIMIT 1
) AS latest ON true
LEFT JOIN (
  SELECT DISTINCT ON (model_name) model_name, id FROM retraining_dispatches
  WHERE state = 'unknown' AND trainer <> 'mock' ORDER BY model_name, decision_id DESC
) AS unknown ON unknown.model_name = models.model
LEFT JOIN retraining_dispatches AS training ON training.id = COALESCE(unknown.id, (
  SELECT id FROM retraining_dispatches WHERE ${isModel("model_name")} ORDER BY model_name, decision_id DESC LIMIT 1))
LEFT JOIN (
  SELECT DISTINCT ON (model) model, decision_id, expires_at FROM retraining_approvals
  WHERE state = 'open' AND expires_at > now() ORDER BY model, id DESC
) AS approval ON approval.model = models.model
LEFT JOIN (
  SELECT model, max(until) AS until FROM retraining_snoozes WHERE ended_at IS NULL AND until > now() GROUP BY model
) AS snooze ON snooze.model = models.model`;

const LIST_FIGURES = `
SELECT models.model, latest.explanation ->> 'why' AS why, latest.explanation #> '{nearestFlips,0}' AS flip,
  (SELECT json_build_object('required', criterion -> 'required', 'actual', criterion -> 'actual')
    FROM jsonb_array_elements(latest.criteria) AS criterion
    WHERE criterion ->> 'id' IN ('buffer_size', 'buffer_growth') LIMIT 1) AS buffer,
  COALESCE((SELECT json_agg(json_build_object('size', buffer_size, 'ratio', drift_ratio) ORDER BY id) FROM (
    SELECT id, buffer_size, drift_ratio FROM retraining_decisions AS decision
    WHERE ${isModel("decision.model")} AND run_id IS NOT NULL ORDER BY decision.model, id DESC LIMIT ${POINTS}) AS newest), '[]') AS points
FROM unnest($1::text[]) AS models (model)
LEFT JOIN LATERAL (
  SELECT explanation, criteria FROM retraining_decisions AS decision
  WHERE ${isModel("decision.model")} AND run_id IS NOT NULL ORDER BY decision.model, id DESC LIMIT 1
) AS latest ON true`;

const LIST_BASES = "SELECT id, evidence, policy FROM retraining_decisions WHERE id = ANY($1::int[])";
