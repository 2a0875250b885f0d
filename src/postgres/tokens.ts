import { createHash, randomBytes, randomInt, timingSafeEqual } from "node:crypto";
import type pg from "pg";
import type { Role } from "../core/access.ts";
import { queryPrepared } from "./prepared.ts";

/** A token as people see it, without its secret. */
export interface TokenRow {
  id: string;
  name: string;
  role: Role;
  createdAt: string;
  createdBy: string;
  expiresAt: string | null;
  lastUsedAt: string | null;
  revokedAt: string | null;
}

/** Who holds a valid token or session. */
export interface Holder {
  name: string;
  role: Role;
  /** null for the token of the settings. */
  tokenId: string | null;
}

/** A session ends after this long without a request, and after `SESSION_LIMIT_HOURS` in any case. */
const SESSION_IDLE_HOURS = 12;
const SESSION_LIMIT_HOURS = 7 * 24;

const TOKEN = /^rt_([a-z0-9]{10})_([A-Za-z0-9_-]{43})$/;
/** What people may name a token by: its id, or all or most of the token. */
const TOKEN_OR_ID = /^(?:rt_)?([a-z0-9]{10})(?:_[\w-]{43})?$/;
const ALPHABET = "abcdefghijkmnpqrstuvwxyz23456789";

/** Stores tokens and browser sessions, by their hashes. */
export function createTokenStore({ pool }: { pool: pg.Pool }) {
  return {
    /** Creates a token and returns it: it cannot be read again. @param forSeconds Its lifetime; null for no end. */
    async createToken(given: {
      name: string;
      role: Role;
      createdBy: string;
      forSeconds: number | null;
    }): Promise<{ id: string; token: string; expiresAt: string | null }> {
      const { name, role, createdBy, forSeconds } = given;
      const id = Array.from({ length: 10 }, () => ALPHABET[randomInt(ALPHABET.length)]).join("");
      const secret = randomBytes(32).toString("base64url");
      const { rows } = await pool.query<{ expiresAt: string | null }>(CREATE_TOKEN, [
        id,
        name,
        role,
        sha256(secret),
        createdBy,
        forSeconds,
      ]);
      return { id, token: `rt_${id}_${secret}`, expiresAt: rows[0]?.expiresAt ?? null };
    },

    async listTokens(): Promise<TokenRow[]> {
      return (await pool.query<TokenRow>(LIST_TOKENS)).rows;
    },

    /** Revokes a token, given by its id or in full, and ends its sessions. Returns whether there was one in force. */
    async revokeToken(token: string): Promise<boolean> {
      const { rowCount } = await pool.query(REVOKE_TOKEN, [TOKEN_OR_ID.exec(token)?.[1] ?? token]);
      return rowCount === 1;
    },

    /** Whether there ever was a token, and whether one is in force. */
    async readTokenState(): Promise<{ any: boolean; inForce: boolean }> {
      const { rows } = await queryPrepared<{ any: boolean; inForce: boolean }>(pool, TOKEN_STATE, []);
      return rows[0] ?? { any: false, inForce: false };
    },

    /** Who holds a token; null if it is unknown, revoked or expired. */
    async findTokenHolder(token: string): Promise<Holder | null> {
      const [, id, secret] = TOKEN.exec(token) ?? [];
      if (id === undefined || secret === undefined) return null;
      const { rows } = await queryPrepared<Holder & { secret: Buffer; isStale: boolean }>(pool, FIND_TOKEN, [
        id,
      ]);
      const [found] = rows;
      if (!found || !timingSafeEqual(found.secret, sha256(secret))) return null;
      // Written once a minute at most, because each request would else write a row.
      if (found.isStale)
        await pool.query("UPDATE retrigger_tokens SET last_used_at = now() WHERE id = $1", [id]);
      return { name: found.name, role: found.role, tokenId: id };
    },

    /**
     * Starts the session of a browser and returns its id.
     * @param tokenId The token that logged in; null for that of the settings, whose hash binds the session.
     */
    async startSession(tokenId: string | null, settingsHash: Buffer | null): Promise<string> {
      const id = randomBytes(32).toString("base64url");
      await pool.query(START_SESSION, [sha256(id), tokenId, tokenId === null ? settingsHash : null]);
      return id;
    },

    /** Who holds a session; null if it has ended, or its token has. @param settingsHash Of the token of the settings. */
    async findSessionHolder(id: string, settingsHash: Buffer | null): Promise<Holder | null> {
      const { rows } = await queryPrepared<Holder>(pool, FIND_SESSION, [sha256(id), settingsHash]);
      return rows[0] ?? null;
    },

    async endSession(id: string): Promise<void> {
      await pool.query("DELETE FROM retrigger_sessions WHERE id_sha256 = $1", [sha256(id)]);
    },
  };
}

export function sha256(text: string): Buffer {
  return createHash("sha256").update(text).digest();
}

const IN_FORCE = "revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now())";
const iso = (column: string): string => `to_json(${column}) #>> '{}'`;

const CREATE_TOKEN = `
INSERT INTO retrigger_tokens (id, name, role, secret_sha256, created_by, expires_at)
VALUES ($1, $2, $3, $4, $5, now() + make_interval(secs => $6::float8))
RETURNING ${iso("expires_at")} AS "expiresAt"`;

const LIST_TOKENS = `
SELECT id, name, role, ${iso("created_at")} AS "createdAt", created_by AS "createdBy", ${iso("expires_at")} AS "expiresAt",
  ${iso("last_used_at")} AS "lastUsedAt", ${iso("revoked_at")} AS "revokedAt"
FROM retrigger_tokens ORDER BY retrigger_tokens.created_at, id`;

const REVOKE_TOKEN = `
WITH ended AS (DELETE FROM retrigger_sessions WHERE token_id = $1)
UPDATE retrigger_tokens SET revoked_at = now() WHERE id = $1 AND revoked_at IS NULL`;

const TOKEN_STATE = `SELECT EXISTS (SELECT FROM retrigger_tokens) AS any,
  EXISTS (SELECT FROM retrigger_tokens WHERE ${IN_FORCE}) AS "inForce"`;

const FIND_TOKEN = `
SELECT name, role, secret_sha256 AS secret, COALESCE(last_used_at < now() - interval '1 minute', true) AS "isStale"
FROM retrigger_tokens WHERE id = $1 AND ${IN_FORCE}`;

const START_SESSION = `
WITH ended AS (DELETE FROM retrigger_sessions WHERE created_at < now() - interval '${SESSION_LIMIT_HOURS} hours')
INSERT INTO retrigger_sessions (id_sha256, token_id, settings_sha256) VALUES ($1, $2, $3)`;

const FIND_SESSION = `
WITH session AS (
  UPDATE retrigger_sessions SET last_seen_at = now()
  WHERE id_sha256 = $1 AND last_seen_at > now() - interval '${SESSION_IDLE_HOURS} hours'
    AND created_at > now() - interval '${SESSION_LIMIT_HOURS} hours'
  RETURNING token_id, settings_sha256
)
SELECT COALESCE(token.name, 'settings') AS name, COALESCE(token.role, 'admin') AS role, token.id AS "tokenId"
FROM session LEFT JOIN retrigger_tokens AS token ON token.id = session.token_id AND ${IN_FORCE}
WHERE token.id IS NOT NULL OR session.settings_sha256 = $2`;
