import type pg from "pg";
import type { Disagreement, ShadowUse } from "../core/shadow-report.ts";

/** At most so many disagreements, or spells of them, are listed. */
const LISTED = 100;

/** Reads what shadow policies said beside the decisions about a model. */
export function createShadowLog({ pool }: { pool: pg.Pool }) {
  return {
    /** The shadow policies of the decisions of the last so many seconds, the newest first. */
    async listShadowUses(model: string, seconds: number): Promise<ShadowUse[]> {
      return (await pool.query<ShadowUse>(LIST_USES, [model, seconds])).rows;
    },

    /** How many decisions since an instant have no verdict of a shadow policy. @param since ISO 8601. */
    async countWithoutShadow(model: string, since: string): Promise<number> {
      const { rows } = await pool.query<{ count: number }>(COUNT_WITHOUT, [model, since]);
      return rows[0]?.count ?? 0;
    },

    /** Where the shadow policy disagreed, the newest first; those in a row for the same reason are one. */
    async listDisagreements(model: string, seconds: number, limit = LISTED): Promise<Disagreement[]> {
      return (await pool.query<Disagreement>(LIST_DISAGREEMENTS, [model, seconds, limit])).rows;
    },
  };
}

const JUDGED = `SELECT id, taken_at, decision, reason, shadow,
    (decision = 'no_action') = (shadow ->> 'decision' = 'no_action') AS agrees
  FROM retraining_decisions
  WHERE model = $1 AND shadow IS NOT NULL AND taken_at > now() - make_interval(secs => $2)`;

const LIST_USES = `
SELECT "policyHash", (SELECT shadow -> 'policy' FROM retraining_decisions WHERE id = last_id) AS policy,
  to_json(first_at) #>> '{}' AS "from", to_json(last_at) #>> '{}' AS "to", decisions, agreed
FROM (
  SELECT shadow ->> 'policyHash' AS "policyHash", min(taken_at) AS first_at, max(taken_at) AS last_at, max(id) AS last_id,
    count(*)::int AS decisions, count(*) FILTER (WHERE agrees)::int AS agreed
  FROM (${JUDGED}) AS judged GROUP BY 1
) AS uses ORDER BY last_id DESC`;

const COUNT_WITHOUT = `SELECT count(*)::int AS count FROM retraining_decisions
WHERE model = $1 AND shadow IS NULL AND taken_at >= $2::timestamptz`;

// A spell ends with a decision on which both agree, or disagree for another reason.
const LIST_DISAGREEMENTS = `
SELECT spell.count, spell.first_id AS "firstId", spell.last_id AS "lastId",
  to_json(first_at) #>> '{}' AS "from", to_json(last_at) #>> '{}' AS "to",
  json_build_object('decision', decision, 'reason', reason, 'why', NULLIF(explanation ->> 'why', '')) AS decided,
  json_build_object('decision', shadow ->> 'decision', 'reason', shadow ->> 'reason', 'why', shadow ->> 'why') AS shadow,
  shadow ->> 'policyHash' AS "policyHash"
FROM (
  SELECT count(*)::int AS count, min(id) AS first_id, max(id) AS last_id, min(taken_at) AS first_at, max(taken_at) AS last_at
  FROM (
    SELECT *, count(*) FILTER (WHERE is_change) OVER (ORDER BY id) AS spell FROM (
      SELECT *, kind IS DISTINCT FROM lag(kind) OVER (ORDER BY id) AS is_change FROM (
        SELECT *, ARRAY[agrees::text, decision, reason, shadow ->> 'decision', shadow ->> 'reason', shadow ->> 'policyHash']
          AS kind FROM (${JUDGED}) AS judged
      ) AS kinds
    ) AS changes
  ) AS spells
  WHERE NOT agrees GROUP BY spell ORDER BY max(id) DESC LIMIT $3
) AS spell JOIN retraining_decisions AS decision ON decision.id = spell.last_id
ORDER BY spell.last_id DESC`;
