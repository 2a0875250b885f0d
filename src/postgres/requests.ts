import type pg from "pg";
import { sha256 } from "./tokens.ts";

/** A response as it was sent. */
export interface SentResponse {
  status: number;
  headers: Record<string, string>;
  body: string;
}

/**
 * What is known of a request with an Idempotency-Key. `new`: it may be carried out. `repeated`: it was, with this response.
 * `under way`: an earlier one has not ended. `interrupted`: its process died, so nobody knows what it did. `different`: the key
 * was used for another request.
 */
export type KnownRequest =
  { kind: "new" | "under way" | "interrupted" | "different" } | { kind: "repeated"; response: SentResponse };

/** A key may be used again after this time. */
const KEPT = "24 hours";
/** No request takes longer. */
const INTERRUPTED_AFTER = "90 seconds";

/** Stores the responses to requests with an Idempotency-Key. */
export function createRequestStore({ pool }: { pool: pg.Pool }) {
  return {
    /** @param content What makes two requests the same one: method, path and body. */
    async beginRequest(actor: string, key: string, content: string): Promise<KnownRequest> {
      const hash = sha256(content);
      const { rowCount } = await pool.query(BEGIN, [actor, key, hash]);
      if (rowCount === 1) return { kind: "new" };
      const { rows } = await pool.query<{
        isSame: boolean;
        isOld: boolean;
        status: number | null;
        headers: Record<string, string>;
        body: string;
      }>(FIND, [actor, key, hash]);
      const [found] = rows;
      // It was removed in this moment, because it failed.
      if (!found) return { kind: "under way" };
      if (!found.isSame) return { kind: "different" };
      const { status, headers, body } = found;
      if (status === null) return { kind: found.isOld ? "interrupted" : "under way" };
      return { kind: "repeated", response: { status, headers, body } };
    },

    /** Keeps the response; without one, the request may be sent again. */
    async finishRequest(actor: string, key: string, response: SentResponse | null): Promise<void> {
      if (response === null)
        await pool.query("DELETE FROM retrigger_requests WHERE actor = $1 AND key = $2", [actor, key]);
      else
        await pool.query(FINISH, [
          actor,
          key,
          response.status,
          JSON.stringify(response.headers),
          response.body,
        ]);
    },
  };
}

const BEGIN = `
WITH old AS (DELETE FROM retrigger_requests WHERE started_at < now() - interval '${KEPT}' AND (actor, key) <> ($1, $2))
INSERT INTO retrigger_requests AS known (actor, key, request_sha256) VALUES ($1, $2, $3)
ON CONFLICT (actor, key) DO UPDATE
  SET request_sha256 = excluded.request_sha256, started_at = now(), status = NULL, headers = NULL, body = NULL
  WHERE known.started_at < now() - interval '${KEPT}'`;
const FIND = `SELECT request_sha256 = $3 AS "isSame", started_at < now() - interval '${INTERRUPTED_AFTER}' AS "isOld", status, headers, body FROM retrigger_requests WHERE actor = $1 AND key = $2`;
const FINISH =
  "UPDATE retrigger_requests SET status = $3, headers = $4, body = $5 WHERE actor = $1 AND key = $2";
