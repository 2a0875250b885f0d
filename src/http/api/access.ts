import { z } from "zod";
import { hideTokens, ROLES } from "../../core/access.ts";
import { duration, toMs } from "../../core/duration.ts";
import { RequestError } from "../request-error.ts";
import { type AnyOperation, operation } from "./operation.ts";
import { count, Reason, TokenPath } from "./schemas.ts";

const Token = z.object({
  id: z.string(),
  name: z.string(),
  role: z.enum(ROLES),
  createdAt: z.string(),
  createdBy: z.string(),
  expiresAt: z.string().nullable(),
  lastUsedAt: z.string().nullable(),
  revokedAt: z.string().nullable(),
});

const AuditEntry = z.object({
  id: z.int(),
  at: z.string(),
  actor: z.string(),
  role: z.string().nullable(),
  means: z.string(),
  address: z.string().nullable(),
  tokenId: z.string().nullable(),
  action: z.string(),
  target: z.string(),
  result: z.enum(["done", "refused", "failed"]).nullable(),
  status: z.int().nullable(),
  detail: z.string().nullable(),
});

/** Who may use the API, and who did. */
export const accessOperations: readonly AnyOperation[] = [
  operation({
    method: "GET",
    path: "/tokens",
    role: "admin",
    summary: "List the tokens, without their secrets",
    requires: ["postgres"],
    responses: { 200: { description: "Every token", schema: z.object({ tokens: z.array(Token) }) } },
    async handle(_, { database }) {
      return { status: 200, body: { tokens: await database.listTokens() } };
    },
  }),
  operation({
    method: "POST",
    path: "/tokens",
    role: "admin",
    summary: "Create a token; it is shown only once",
    description:
      "With an Idempotency-Key the request is refused: the response would have to be kept, and the token with it.",
    body: z.strictObject({ name: Reason, role: z.enum(ROLES), for: duration().optional() }),
    requires: ["postgres"],
    responses: {
      201: {
        description: "Created",
        schema: z.object({ id: z.string(), token: z.string(), expiresAt: z.string().nullable() }),
      },
    },
    async handle({ body, caller, request }, { database }) {
      if (request.get("idempotency-key") !== undefined)
        throw new RequestError(400, "A token is shown once, so this takes no Idempotency-Key", "BAD_INPUT");
      const forSeconds = body.for === undefined ? null : toMs(body.for) / 1000;
      const { name, role } = body;
      return {
        status: 201,
        body: await database.createToken({ name, role, createdBy: caller.name, forSeconds }),
      };
    },
  }),
  operation({
    method: "DELETE",
    path: "/tokens/{id}",
    role: "admin",
    summary: "Revoke a token, and end its sessions",
    params: TokenPath,
    requires: ["postgres"],
    responses: { 204: { description: "Revoked" } },
    async handle({ params: { id } }, { database }) {
      if (!(await database.revokeToken(id)))
        throw new RequestError(404, `There is no token ${hideTokens(id)} in force`, "NOT_FOUND");
      return { status: 204 };
    },
  }),
  operation({
    method: "GET",
    path: "/audit",
    role: "admin",
    summary: "List who changed what, or was refused, newest first",
    query: z.strictObject({
      limit: count(1, 500, 50),
      cursor: z
        .string()
        .regex(/^[1-9]\d{0,14}$/, "must be the nextCursor of the page before")
        .transform(Number)
        .optional(),
    }),
    requires: ["postgres"],
    responses: {
      200: {
        description: "A page of entries",
        schema: z.object({ entries: z.array(AuditEntry), nextCursor: z.string().nullable() }),
      },
    },
    async handle({ query: { limit, cursor } }, { database }) {
      const entries = await database.listAudit({ limit, before: cursor ?? null });
      const last = entries.length === limit ? entries.at(-1) : undefined;
      return { status: 200, body: { entries, nextCursor: last ? String(last.id) : null } };
    },
  }),
];
