import pg from "pg";
import type { Parameters } from "../parameters.ts";
import { sendStatements } from "../pool.ts";

/** Parameters that stand in the statement itself, for statements that are sent once. */
export const LITERALS: Parameters = {
  list: [],
  text: (value) => pg.escapeLiteral(value),
  integer: (value) => String(value),
};

/** Runs one statement that only reads, under a time limit that the server enforces, and that ends the waiting for a lock too. */
export async function queryWithin<Row>(
  pool: pg.Pool,
  limitMs: number,
  text: string,
  settings: Readonly<Record<string, string>> = {},
): Promise<Row[]> {
  const all = { ...settings, transaction_read_only: "on", statement_timeout: `${Math.ceil(limitMs)}` };
  const list = Object.entries(all).map(
    ([name, value]) => `set_config('${name}', ${pg.escapeLiteral(value)}, true)`,
  );
  const results = await sendStatements(pool, () => [`SELECT ${list.join(", ")}`, text], limitMs + 2_000);
  return (results.at(-1)?.rows ?? []) as Row[];
}
