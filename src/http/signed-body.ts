import express, { type Request } from "express";
import { z } from "zod";
import { parseJson } from "../core/parse.ts";
import { RequestError } from "./request-error.ts";
import { isSigned } from "../outgoing/signature.ts";

/** Reads the body as text, because the signature covers the raw bytes. */
export const readBody = express.text({ type: () => true, limit: "1mb" });

/** Returns the body. @throws RequestError if it is not signed with one of the secrets. */
export async function requireSigned(
  request: Request,
  secrets: readonly (string | undefined)[],
  header: string,
): Promise<string> {
  const known = new Set(secrets.filter((secret) => secret !== undefined));
  if (known.size === 0) throw new RequestError(404, "The settings have no secret for this path");
  const body: unknown = request.body;
  if (typeof body === "string")
    for (const secret of known) if (await isSigned(secret, body, request.get(header))) return body;
  throw new RequestError(401, `${header} is missing or wrong`);
}

/** Parses a body. @throws RequestError if it does not match the schema. */
export function parseBody<S extends z.ZodType>(schema: S, body: string): z.infer<S> {
  const parsed = schema.safeParse(parseJson(body));
  if (parsed.success) return parsed.data;
  throw new RequestError(400, z.prettifyError(parsed.error));
}
