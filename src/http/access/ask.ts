import { isSettledWithin } from "../../process/lifecycle.ts";

/** Postgres responds within milliseconds; a caller waits this long at most. */
const RESPONSE_LIMIT_MS = 1_000;

/** The value of a call to Postgres; "unknown" if it fails or does not respond in time. */
export async function ask<T>(call: () => Promise<T>, limitMs = RESPONSE_LIMIT_MS): Promise<T | "unknown"> {
  const answer = call().catch(() => "unknown" as const);
  return (await isSettledWithin(answer, limitMs)) ? answer : "unknown";
}
