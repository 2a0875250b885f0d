import type { Actor } from "../core/access.ts";
import { messageOf, PermanentError } from "../core/errors.ts";
import type { Database } from "../postgres/database.ts";

/**
 * Does something, and records who did it: the intent before, the result after.
 *
 * @param status The HTTP status of success; null for the command line.
 */
export async function audited<T>(
  database: Pick<Database, "beginAudit" | "finishAudit">,
  actor: Actor,
  done: { action: string; target: string; status: number | null },
  act: () => Promise<T>,
): Promise<T> {
  const id = await database.beginAudit(actor, done);
  try {
    const value = await act();
    await database.finishAudit(id, { result: "done", status: done.status, detail: null });
    return value;
  } catch (error) {
    const result = error instanceof PermanentError ? "refused" : "failed";
    // What went wrong matters more than that it was not recorded.
    await database
      .finishAudit(id, { result, status: null, detail: messageOf(error).slice(0, 500) })
      .catch(() => {});
    throw error;
  }
}
