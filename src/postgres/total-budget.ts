import type pg from "pg";
import { toMs } from "../core/duration.ts";
import type { Verdict } from "../core/evaluate.ts";
import { totalBudget } from "../core/guards/budget.ts";
import { type Policy, settingsOf } from "../core/policy.ts";
import { isOverdue } from "./answers-sql.ts";
import { IS_REQUESTED, isOfAll, REQUESTED_AT } from "./trainings-sql.ts";

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
  { trainer, evidenceMaxAgeSeconds }: { trainer: string; evidenceMaxAgeSeconds: number },
  insert: (client: pg.PoolClient) => Promise<T>,
): Promise<T | "spent"> {
  const client = await pool.connect();
  try {
    await client.query("BEGIN");
    await client.query("SELECT pg_advisory_xact_lock(hashtext('retrigger total budget'))");
    const { rows } = await client.query<{ count: number }>(countRequested(trainer), [
      seconds,
      evidenceMaxAgeSeconds,
    ]);
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

/** The same that the evidence counts, so that a decision on fresh evidence finds the budget that it saw, or less. */
function countRequested(trainer: string): string {
  return `SELECT count(*)::integer AS count FROM retraining_dispatches AS dispatch
WHERE ${isOfAll(trainer)} AND ${IS_REQUESTED} AND NOT ${isOverdue("$2")}
  AND ${REQUESTED_AT} > now() - make_interval(secs => $1)`;
}
