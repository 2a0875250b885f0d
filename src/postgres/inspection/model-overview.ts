import type pg from "pg";
import { selectLastSuccess, selectSmallestSince, MOCK } from "../trainings-sql.ts";

/** What people decided about a model, what its latest decision saw, and its last successful training. */
export interface ModelOverview {
  model: string;
  /** ISO 8601. */
  snooze: { until: string; reason: string; by: string } | null;
  /** The open request for an approval. */
  approval: { decisionId: number; expiresAt: string } | null;
  /** Drift runs that the latest decision found missing. */
  missingRuns: { lastSeenAt: string | null; every: string } | null;
  /** What the latest decision found likely wrong with the sources. */
  warnings: { code: string; text: string }[];
  /** A dispatch of which it is unknown whether it started a training. */
  unknown: { decisionId: number; trainer: string; askedAt: string | null } | null;
  lastSucceeded: {
    decisionId: number;
    at: string;
    bufferSize: number | null;
    smallestSince: number | null;
  } | null;
}

/** Reads the states of models that commands show. */
export function createOverviewStore({ pool }: { pool: pg.Pool }) {
  return {
    /** The states of any number of models, with one query for each kind of trainer. */
    async readModelOverviews(
      models: ReadonlyMap<string, { trainer: { name: string } }>,
    ): Promise<ModelOverview[]> {
      const list = [...models].map(([model, { trainer }]) => ({ model, trainer: trainer.name }));
      const groups = [
        { trainer: MOCK, own: list.filter(({ trainer }) => trainer === MOCK) },
        { trainer: "", own: list.filter(({ trainer }) => trainer !== MOCK) },
      ].filter(({ own }) => own.length > 0);
      const results = await Promise.all(
        groups.map(({ trainer, own }) =>
          pool.query<ModelOverview>(buildOverview(trainer), [
            own.map(({ model }) => model),
            own.map((each) => each.trainer),
          ]),
        ),
      );
      return results.flatMap(({ rows }) => rows);
    },
  };
}

function buildOverview(trainer: string): string {
  const own = { model: "models.model", trainer: "models.trainer" };
  return `
SELECT models.model,
  (SELECT json_build_object('until', until, 'reason', reason, 'by', snoozed_by) FROM retraining_snoozes
    WHERE model = models.model AND ended_at IS NULL AND until > now() ORDER BY until DESC LIMIT 1) AS snooze,
  (SELECT json_build_object('decisionId', decision_id, 'expiresAt', expires_at) FROM retraining_approvals
    WHERE model = models.model AND state = 'open' AND expires_at > now() ORDER BY id DESC LIMIT 1) AS approval,
  (SELECT CASE WHEN explanation #>> '{driftRuns,state}' = 'missing' THEN explanation -> 'driftRuns' END
    FROM retraining_decisions WHERE model = models.model ORDER BY id DESC LIMIT 1) AS "missingRuns",
  COALESCE((SELECT explanation -> 'warnings' FROM retraining_decisions WHERE model = models.model ORDER BY id DESC LIMIT 1),
    '[]') AS warnings,
  (SELECT json_build_object('decisionId', decision_id, 'trainer', trainer, 'askedAt', asked_at) FROM retraining_dispatches
    WHERE model_name = models.model AND trainer <> 'mock' AND state = 'unknown' ORDER BY decision_id DESC LIMIT 1) AS unknown,
  (SELECT json_build_object('decisionId', decision_id, 'at', at,
      'bufferSize', (SELECT buffer_size FROM retraining_decisions WHERE id = decision_id),
      'smallestSince', ${selectSmallestSince(own.model)}) FROM (${selectLastSuccess(own, trainer)}) AS newest) AS "lastSucceeded"
FROM unnest($1::text[], $2::text[]) AS models (model, trainer)`;
}
