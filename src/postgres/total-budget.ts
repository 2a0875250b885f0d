import type pg from "pg";
import { toMs } from "../core/duration.ts";
import type { Verdict } from "../core/evaluate.ts";
import { totalBudget } from "../core/guards/budget.ts";
import { type Policy, settingsOf } from "../core/policy.ts";

/** How many trainings all models together may request in how long a time. */
export interface TotalBudget {
  atMost: number;
  seconds: number;
}

/** The budget of all models that a decision must keep to; null if it starts no training, is forced, or has none. */
export function budgetOf(policy: Policy, verdict: Pick<Verdict, "decision" | "forced">): TotalBudget | null {
  const settings = settingsOf(policy, totalBudget) as { atMost: number; per: string } | null;
  if (settings === null || verdict.decision !== "trigger" || verdict.forced !== null) return null;
  return { atMost: settings.atMost, seconds: toMs(settings.per) / 1000 };
}

/**
 * Runs `insert` only if the budget allows another training. Two models decide at the same time on the same state of the
 * budget, which compare-and-set does not notice: so triggers under such a budget are recorded one after the other.
 *
 * @returns "spent" if there is no budget left.
 */
export async function insertWithinBudget<T>(
  pool: pg.Pool,
  { atMost, seconds }: TotalBudget,
  insert: (client: pg.PoolClient) => Promise<T>,
): Promise<T | "spent"> {
  const client = await pool.connect();
  try {
    await client.query("BEGIN");
    await client.query("SELECT pg_advisory_xact_lock(hashtext('retrigger total budget'))");
    const { rows } = await client.query<{ count: number }>(COUNT_REQUESTED, [seconds]);
    if ((rows[0]?.count ?? 0) >= atMost) {
      await client.query("ROLLBACK");
      client.release();
      return "spent";
    }
    const result = await insert(client);
    await client.query("COMMIT");
    client.release();
    return result;
  } catch (error) {
    // The connection may be broken or inside a failed transaction.
    client.release(true);
    throw error;
  }
}

/** Whether a decision's training counts: every trigger, unless its request was refused or never sent. */
export const IS_REQUESTED = `decision.decision IN ('trigger', 'trigger_mock') AND dispatch.state IS DISTINCT FROM 'rejected'
  AND NOT (COALESCE(dispatch.state, 'sent') = 'cancelled' AND dispatch.asked_at IS NULL)`;

const COUNT_REQUESTED = `SELECT count(*)::integer AS count FROM retraining_decisions AS decision
LEFT JOIN retraining_dispatches AS dispatch ON dispatch.decision_id = decision.id
WHERE ${IS_REQUESTED} AND decision.taken_at > now() - make_interval(secs => $1)`;
