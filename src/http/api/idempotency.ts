import type { Request } from "express";
import type { Database } from "../../postgres/database.ts";
import { callerOf } from "../access/keeper.ts";
import { RequestError } from "../request-error.ts";
import type { Reply } from "./operation.ts";

/**
 * Carries out a request with an Idempotency-Key once: its repetition gets the same response.
 * @throws RequestError if the key was used for another request, or if that request is under way.
 */
export async function keepOnce(
  database: Pick<Database, "beginRequest" | "finishRequest">,
  request: Request,
  key: string,
  handle: () => Promise<Reply>,
): Promise<Reply> {
  if (!/^[\x20-\x7e]{1,200}$/.test(key))
    throw new RequestError(400, "Idempotency-Key must have 1 to 200 printable characters", "BAD_INPUT");
  const { actor, tokenId } = callerOf(request);
  const who = `${actor.means}:${tokenId ?? actor.name}`;
  const known = await database.beginRequest(
    who,
    key,
    `${request.method} ${request.originalUrl}\n${JSON.stringify(request.body)}`,
  );
  switch (known.kind) {
    case "different":
      throw new RequestError(422, "This Idempotency-Key was used for another request", "KEY_REUSED");
    case "under way":
      throw new RequestError(
        409,
        "The request with this Idempotency-Key is under way. Send it again later",
        "UNDER_WAY",
      );
    case "repeated": {
      const { status, headers, body } = known.response;
      const reply = { status, headers: { ...headers, "Idempotency-Replayed": "true" } };
      return body === "" ? reply : { ...reply, body };
    }
    case "new":
      break;
    default:
      return known satisfies never;
  }
  try {
    const reply = await handle();
    const { status, headers = {}, body } = reply;
    await database.finishRequest(who, key, {
      status,
      headers,
      body: body === undefined ? "" : JSON.stringify(body),
    });
    return reply;
  } catch (error) {
    // What failed changed nothing that a repetition would double, so it may be sent again.
    await database.finishRequest(who, key, null).catch(() => {});
    throw error;
  }
}
