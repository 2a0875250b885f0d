import { splitLogin } from "../../outgoing/login.ts";
import { explainNetworkFailure } from "../../outgoing/network-failure.ts";
import type { Redact } from "../../process/redact.ts";
import { TrainerUnavailable } from "../trainer.ts";

const READ_LIMIT_MS = 15_000;

const MOST_ANSWER_BYTES = 64 * 1024;

export async function fetchStatus(url: string, etag: string | null, redact: Redact) {
  try {
    const login = splitLogin(url);
    const response = await fetch(login.url, {
      headers: {
        accept: "application/json",
        ...login.headers,
        ...(etag === null ? {} : { "if-none-match": etag }),
      },
      // Elsewhere, the answer of another server would pass for the receiver's.
      redirect: "manual",
      signal: AbortSignal.timeout(READ_LIMIT_MS),
    });
    const { status, ok: isOk, headers } = response;
    return { status, ok: isOk, headers, text: await readText(response) };
  } catch (error) {
    const { message } = explainNetworkFailure(error);
    throw new TrainerUnavailable(redact(`The receiver did not answer: ${message}`), null, { cause: error });
  }
}

/** The body, cut off if it is longer than any answer needs to be. */
export async function readText(response: Response): Promise<string> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of response.body ?? []) {
    chunks.push(chunk);
    size += chunk.length;
    if (size > MOST_ANSWER_BYTES) break;
  }
  return Buffer.concat(chunks).toString();
}
