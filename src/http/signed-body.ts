import express, { type Request } from "express";
import { z } from "zod";
import { parseJson } from "../core/parse.ts";
import { RequestError } from "./request-error.ts";
import { findMlflowSignatureFault } from "../outgoing/mlflow-signature.ts";
import { findSignatureFault, isSigned } from "../outgoing/signature.ts";

/** Reads the body's bytes as they were sent, because the signature covers them. */
export const readBody = express.raw({ type: () => true, limit: "1mb", inflate: false });

/** Why a body is not signed with any of the secrets; null if it is. */
type FindFault = (secrets: ReadonlySet<string>, body: Buffer, request: Request) => string | null;

/** Our own scheme, with a timestamp. */
export const bySignature: FindFault = (secrets, body, request) =>
  findSignatureFault(secrets, body, (name) => request.get(name));

/** MLflow's scheme, with the id of the delivery and a timestamp. */
export const byMlflowSignature: FindFault = (secrets, body, request) =>
  findMlflowSignatureFault(secrets, body, (name) => request.get(name));

/** GitHub's scheme: the signature of the body alone. */
export const byGitHubSignature: FindFault = (secrets, body, request) =>
  [...secrets].some((secret) => isSigned(secret, body, request.get("X-Hub-Signature-256")))
    ? null
    : "X-Hub-Signature-256 is missing or wrong";

/** Returns the body as text. @throws RequestError if it is not signed with one of the secrets, or is not a text in UTF-8. */
export function requireSigned(
  request: Request,
  secrets: readonly (string | undefined)[],
  findFault: FindFault,
): string {
  const known = new Set(secrets.filter((secret) => secret !== undefined));
  if (known.size === 0) throw new RequestError(404, "The settings have no secret for this path");
  const body: unknown = request.body;
  if (!Buffer.isBuffer(body)) throw new RequestError(401, "The request has no body, so it cannot be signed");
  const fault = findFault(known, body, request);
  if (fault !== null) throw new RequestError(401, fault);
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(body);
  } catch {
    throw new RequestError(400, "The body is not a text in UTF-8");
  }
}

/** Parses a body. @throws RequestError if it does not match the schema, or has a text that Postgres cannot store. */
export function parseBody<S extends z.ZodType>(schema: S, body: string): z.infer<S> {
  const parsed = schema.safeParse(parseJson(body));
  if (!parsed.success) throw new RequestError(400, z.prettifyError(parsed.error));
  const field = findNul(parsed.data, []);
  if (field !== null) throw new RequestError(400, `${field} must not contain a NUL character (\\u0000)`);
  return parsed.data;
}

/** The path of the first text with a NUL character; null if there is none. */
function findNul(value: unknown, path: readonly string[]): string | null {
  if (typeof value === "string") return value.includes("\0") ? path.join(".") : null;
  if (typeof value !== "object" || value === null) return null;
  for (const [key, part] of Object.entries(value)) {
    const found = findNul(part, [...path, key]);
    if (found !== null) return found;
  }
  return null;
}
