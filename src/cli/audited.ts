import { userInfo } from "node:os";
import type { Actor } from "../core/access.ts";
import { messageOf, PermanentError } from "../core/errors.ts";
import type { Database } from "../postgres/database.ts";

/**
 * Does something, and records it with the user of this shell: the intent before, the result after.
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
  const actor: Actor = { name, role: null, means: "cli", address: null, tokenId: null };
  const id = await database.beginAudit(actor, { action, target });
  try {
    const result = await act();
    await database.finishAudit(id, { result: "done", status: null, detail: null });
    return result;
  } catch (error) {
    const result = error instanceof PermanentError ? "refused" : "failed";
    // What went wrong matters more than that it was not recorded.
    await database
      .finishAudit(id, { result, status: null, detail: messageOf(error).slice(0, 500) })
      .catch(() => {});
    throw error;
  }
}
