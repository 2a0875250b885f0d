import { userInfo } from "node:os";
import type { Database } from "../postgres/database.ts";
import { audited as record } from "../use-cases/audited.ts";

/**
 * Does something, and records it with the user of this shell.
 *
 * @param by Who is said to do it, if the command asks.
 */
export async function audited<T>(
  database: Pick<Database, "beginAudit" | "finishAudit">,
  { action, target, by }: { action: string; target: string; by?: string },
  act: () => Promise<T>,
): Promise<T> {
  const user = userInfo().username;
  const name = by === undefined || by === user ? user : `${by} (${user})`;
  const actor = { name, role: null, means: "cli", address: null, tokenId: null } as const;
  return record(database, actor, { action, target, status: null }, act);
}
