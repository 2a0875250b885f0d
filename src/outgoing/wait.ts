/** Headers of an answer, their names in lower case. */
type Headers = Readonly<Record<string, string | number | undefined>>;

/**
 * How long a server wants to be left alone, in milliseconds, by `retry-after` (seconds or a date) or, where its allowance
 * is used up, by `x-ratelimit-reset` (Unix seconds). Dates are compared with the server's own, as clocks differ. Null
 * where it does not say.
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

/** The shortest pause is a second, for clocks that do not quite agree; a day is the longest that anybody means. */
function clamp(waitMs: number): number {
  return Math.min(86_400_000, Math.max(1_000, Math.ceil(waitMs)));
}
