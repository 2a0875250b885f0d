import { explainNetworkFailure } from "../../outgoing/network-failure.ts";
import { describeRedirect } from "../../outgoing/redirect.ts";
import type { Redact } from "../../process/redact.ts";
import { TrainerUnavailable } from "../trainer.ts";

const READ_TIMEOUT_MS = 15_000;

const MAX_RESPONSE_BYTES = 64 * 1024;

/** @throws TrainerUnavailable if the receiver does not respond. */
export async function fetchStatus(
  url: URL,
  { etag, login, redact }: { etag: string | null; login: Record<string, string>; redact: Redact },
) {
  try {
    const response = await fetch(url, {
      headers: {
        accept: "application/json",
        ...login,
        ...(etag === null ? {} : { "if-none-match": etag }),
      },
      // After a redirect, another server could respond in the receiver's place.
      redirect: "manual",
      signal: AbortSignal.timeout(READ_TIMEOUT_MS),
    });
    const { status, ok: isOk, headers } = response;
    const redirect = describeRedirect(response, url);
    return { status, ok: isOk, headers, redirect, text: await readText(response) };
  } catch (error) {
    const { message } = explainNetworkFailure(error);
    throw new TrainerUnavailable(redact(`No response from the receiver: ${message}`), null, { cause: error });
  }
}

/** Reads the body, cut off at a length that no valid response needs. */
export async function readText(response: Response): Promise<string> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of response.body ?? []) {
    chunks.push(chunk);
    size += chunk.length;
    if (size > MAX_RESPONSE_BYTES) break;
  }
  return Buffer.concat(chunks).toString();
}
