import { toProblem } from "../problem.ts";
import { RequestError } from "../request-error.ts";
import type { ApiDependencies, Call, Reply } from "./operation.ts";

/**
 * Carries out a request with an Idempotency-Key once: its repetition gets the same response.
 * @throws RequestError if the key was used for another request, or if that request is under way.
 */
export async function keepOnce(
  { database, log }: Pick<ApiDependencies, "database" | "log">,
  { request, caller, params, query, body }: Call<unknown, unknown, unknown>,
  key: string,
  handle: () => Promise<Reply>,
): Promise<Reply> {
  if (!/^[\x20-\x7e]{1,200}$/.test(key))
    throw new RequestError(400, "Idempotency-Key must have 1 to 200 printable characters", "BAD_INPUT");
  const who = `${caller.means}:${caller.tokenId ?? caller.name}`;
  const content = JSON.stringify([request.method, request.path, params, query, body]);
  const known = await database.beginRequest(who, key, content);
  switch (known.kind) {
    case "different":
      throw new RequestError(422, "This Idempotency-Key was used for another request", "KEY_REUSED");
    case "under way":
      throw new RequestError(
        409,
        "The request with this Idempotency-Key is under way. Send it again later",
        "UNDER_WAY",
      );
    case "interrupted":
      throw new RequestError(
        409,
        "The request with this Idempotency-Key was interrupted, and may have been carried out. Look, then use another key",
        "INTERRUPTED",
      );
    case "repeated": {
      const { status, headers, body: text } = known.response;
      const reply = { status, headers: { ...headers, "Idempotency-Replayed": "true" } };
      return text === "" ? reply : { ...reply, body: text };
    }
    case "new":
      break;
    default:
      return known satisfies never;
  }
  let reply: Reply;
  try {
    reply = await handle();
  } catch (error) {
    // What was refused changed nothing, so it may be sent again. Of what failed, nobody knows.
    const { status = 500 } = toProblem(error) ?? {};
    if (status < 500) await database.finishRequest(who, key, null).catch(() => {});
    throw error;
  }
  const { status, headers = {}, body: sent } = reply;
  await database
    .finishRequest(who, key, { status, headers, body: sent === undefined ? "" : JSON.stringify(sent) })
    .catch((error: unknown) => log.warn({ err: error }, "the response to an Idempotency-Key was not kept"));
  return reply;
}
