import type pg from "pg";
import type { Actor } from "../core/access.ts";
import { queryPrepared } from "./prepared.ts";

/** What somebody did, or was refused. */
export interface AuditRow {
  id: number;
  /** ISO 8601. */
  at: string;
  actor: string;
  role: string | null;
  means: string;
  address: string | null;
  tokenId: string | null;
  action: string;
  target: string;
  /** null if it is under way, or was interrupted. */
  result: "done" | "refused" | "failed" | null;
  /** The HTTP status of the response; null for the command line. */
  status: number | null;
  detail: string | null;
}

export type AuditResult = Pick<AuditRow, "status" | "detail"> & { result: NonNullable<AuditRow["result"]> };

/** Records who did what: the intent before, the result after. */
export function createAuditStore({ pool }: { pool: pg.Pool }) {
  return {
    /** Records what somebody is about to do. Returns the entry's id. */
    async beginAudit(actor: Actor, done: { action: string; target: string }): Promise<string> {
      const { rows } = await queryPrepared<{ id: string }>(pool, BEGIN, [
        ...toValues(actor),
        done.action,
        done.target,
      ]);
      return rows[0]?.id ?? "";
    },

    async finishAudit(id: string, { result, status, detail }: AuditResult): Promise<void> {
      await queryPrepared(pool, FINISH, [id, result, status, detail]);
    },

    /** Records what was refused before it began. */
    async recordRefusal(
      actor: Actor,
      done: { action: string; target: string },
      { status, detail }: Pick<AuditResult, "status" | "detail">,
    ): Promise<void> {
      await queryPrepared(pool, REFUSE, [...toValues(actor), done.action, done.target, status, detail]);
    },

    /** The newest entries, newest first. @param before Only entries with a lower id; null for all. */
    async listAudit({ limit, before }: { limit: number; before: number | null }): Promise<AuditRow[]> {
      return (await pool.query<AuditRow>(LIST, [limit, before])).rows;
    },
  };
}

function toValues({ name, role, means, address, tokenId }: Actor): (string | null)[] {
  return [name, role, means, address, tokenId];
}

const COLUMNS = "actor, role, means, address, token_id, action, target";
// Not flushed at once, which takes longer than the rest: a change in Postgres itself flushes what was written before it.
const SOON = "set_config('synchronous_commit', 'off', true)";
const BEGIN = `WITH soon AS MATERIALIZED (SELECT ${SOON})
INSERT INTO retrigger_audit (${COLUMNS}) SELECT $1::text, $2::text, $3::text, $4::text, $5::text, $6::text, $7::text FROM soon
RETURNING id`;
const FINISH = `WITH soon AS MATERIALIZED (SELECT ${SOON})
UPDATE retrigger_audit SET result = $2, status = $3, detail = $4, finished_at = now() FROM soon WHERE id = $1`;
const REFUSE = `INSERT INTO retrigger_audit (${COLUMNS}, result, status, detail, finished_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, 'refused', $8, $9, now())`;
const LIST = `SELECT id::float8 AS id, to_json(at) #>> '{}' AS at, actor, role, means, address,
  token_id AS "tokenId", action, target, result, status, detail
FROM retrigger_audit WHERE $2::bigint IS NULL OR id < $2 ORDER BY id DESC LIMIT $1`;
