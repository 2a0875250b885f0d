/** The headers of a response, with names in lower case. */
type Headers = Readonly<Record<string, string | number | undefined>>;

/**
 * How many milliseconds to wait before the next request, according to `retry-after` (seconds or a date) or, if the rate limit
 * is used up, to `x-ratelimit-reset` (Unix seconds). Times are compared with the server's own `date`, because clocks differ.
 * Null if the response does not say.
 */
export function readWait(headers: Headers, nowMs = Date.now()): number | null {
  const serverNowMs = Date.parse(String(headers["date"] ?? "")) || nowMs;
  const retryAfter = headers["retry-after"];
  if (retryAfter !== undefined) {
    const seconds = Number(retryAfter);
    const untilMs = Date.parse(String(retryAfter));
    if (Number.isFinite(seconds)) return clamp(seconds * 1000);
    if (!Number.isNaN(untilMs)) return clamp(untilMs - serverNowMs);
  }
  const reset = Number(headers["x-ratelimit-reset"]);
  if (String(headers["x-ratelimit-remaining"]) === "0" && Number.isFinite(reset))
    return clamp(reset * 1000 - serverNowMs);
  return null;
}

/** At least a second, because clocks do not quite agree; at most a day, because no server means longer. */
function clamp(waitMs: number): number {
  return Math.min(86_400_000, Math.max(1_000, Math.ceil(waitMs)));
}
