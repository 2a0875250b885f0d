import type pg from "pg";
import type { VersionNews } from "../core/outcome/registry-event.ts";

/** All that is known about a version of a registered model. */
export interface ModelVersion extends Pick<
  VersionNews,
  "registeredModel" | "version" | "tags" | "isPromoted"
> {
  /** The decision whose training made it; null if unknown. */
  decisionId: number | null;
  /** Whether no tag says so. */
  isAssumed: boolean;
}

/** A training that ended this long ago may still have made a version without a tag. */
const CANDIDATE_FOR = "24 hours";

/** Stores what MLflow's registry says about versions of models, in whatever order its events come. */
export function createModelVersionStore({ pool }: { pool: pg.Pool }) {
  return {
    /** Adds what an event says about a version. Returns all that is known about it. */
    async noteVersion({ registeredModel, version, tags, isPromoted }: VersionNews): Promise<ModelVersion> {
      const values = [registeredModel, version, JSON.stringify(tags), isPromoted];
      return (await pool.query<ModelVersion>(NOTE_VERSION, values)).rows[0] as ModelVersion;
    },

    /** The trainings of a model that may have made a version now, and that no version is known of. */
    async listVersionCandidates(model: string): Promise<number[]> {
      const { rows } = await pool.query<{ decisionId: number }>(LIST_CANDIDATES, [model]);
      return rows.map(({ decisionId }) => decisionId);
    },

    /**
     * Records which training made a version; an assumption never replaces what is known. What the version said about another
     * training is removed. Returns false if the training is known by now.
     *
     * @param by How the version signs its outcomes.
     */
    async assignVersion(
      { registeredModel, version }: Pick<ModelVersion, "registeredModel" | "version">,
      { decisionId, isAssumed, by }: { decisionId: number; isAssumed: boolean; by: string },
    ): Promise<boolean> {
      const { rowCount } = await pool.query(ASSIGN_VERSION, [
        registeredModel,
        version,
        decisionId,
        isAssumed,
      ]);
      if (rowCount === 0) return false;
      // A statement of its own, because it must see what was saved while the first one waited.
      await pool.query(REMOVE_OTHERS, [by, decisionId]);
      return true;
    },
  };
}

const NOTE_VERSION = `
INSERT INTO retraining_model_versions AS known (registered_model, version, tags, is_promoted) VALUES ($1, $2, $3, $4)
ON CONFLICT (registered_model, version) DO UPDATE
  SET tags = known.tags || excluded.tags, is_promoted = known.is_promoted OR excluded.is_promoted
RETURNING registered_model AS "registeredModel", version, decision_id AS "decisionId", is_assumed AS "isAssumed",
  is_promoted AS "isPromoted", tags`;

const LIST_CANDIDATES = `
SELECT decision_id AS "decisionId" FROM retraining_dispatches AS dispatch
WHERE model_name = $1 AND trainer <> 'mock' AND asked_at <= now()
  AND (state IN ('sent', 'running', 'unknown') OR state = 'succeeded' AND ended_at > now() - interval '${CANDIDATE_FOR}')
  AND NOT EXISTS (SELECT FROM retraining_model_versions WHERE decision_id = dispatch.decision_id)
ORDER BY decision_id DESC LIMIT 5`;

const ASSIGN_VERSION = `UPDATE retraining_model_versions SET decision_id = $3, is_assumed = $4
WHERE registered_model = $1 AND version = $2 AND (decision_id IS NULL OR NOT $4)`;

const REMOVE_OTHERS =
  "DELETE FROM retraining_outcomes WHERE source = 'mlflow' AND reported_by = $1 AND decision_id <> $2";
