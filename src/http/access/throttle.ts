import type { Request, RequestHandler } from "express";
import { ipKeyGenerator, rateLimit } from "express-rate-limit";
import { respondProblem } from "../problem.ts";

const WINDOW_MS = 60_000;
/** How many unknown tokens an address may try in a minute. */
const MAX_FAILURES = 30;

/** Refuses an address that has sent too many wrong tokens, for a minute. */
export function createThrottle(addressOf: (request: Request) => string): RequestHandler {
  return rateLimit({
    windowMs: WINDOW_MS,
    limit: MAX_FAILURES,
    keyGenerator: (request) => ipKeyGenerator(addressOf(request)),
    skipSuccessfulRequests: true,
    // A request without any credentials tries nothing.
    requestWasSuccessful: (request, response) => response.statusCode !== 401 || !hasCredentials(request),
    standardHeaders: false,
    legacyHeaders: false,
    validate: false,
    handler: (_, response) => {
      response.set("Retry-After", String(WINDOW_MS / 1000));
      respondProblem(
        response,
        429,
        "TOO_MANY_FAILURES",
        "Too many wrong tokens from this address. Wait a minute",
      );
    },
  });
}

function hasCredentials(request: Request): boolean {
  return request.get("authorization") !== undefined || request.method === "POST";
}
