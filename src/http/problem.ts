import { STATUS_CODES } from "node:http";
import type { Response } from "express";
import { ConfigError, PermanentError, ServerAwayError, TransientError } from "../core/errors.ts";
import { RequestError } from "./request-error.ts";

/** A problem document (RFC 9457). `title` is the status in words, `detail` says what to do about it. */
export interface Problem {
  type: "about:blank";
  title: string;
  status: number;
  detail: string;
  /** For programs, such as `BAD_INPUT`. */
  code: string;
}

/** Responds with a problem. A server that is away may be back soon, so a sender is told to retry. */
export function respondProblem(response: Response, status: number, code: string, detail: string): void {
  const problem: Problem = {
    type: "about:blank",
    title: STATUS_CODES[status] ?? "Error",
    status,
    detail,
    code,
  };
  if (status === 503) response.set("Retry-After", "5");
  response.status(status).type("application/problem+json").send(JSON.stringify(problem));
}

/** What an error means to the caller; null for one that is our own fault, which is logged and not shown. */
export function toProblem(error: unknown): Pick<Problem, "status" | "code" | "detail"> | null {
  if (error instanceof RequestError) return { status: error.status, code: error.code, detail: error.message };
  if (error instanceof ServerAwayError)
    return {
      status: 503,
      code: "SERVER_AWAY",
      detail: "Postgres or Redis is away: see /readyz. Send it again later",
    };
  if (error instanceof TransientError) {
    const { code } = error;
    if (code === "TIMEOUT") return { status: 504, code, detail: error.message };
    return { status: 503, code: "TEMPORARY", detail: "This failed for now. Send it again later" };
  }
  if (error instanceof PermanentError && !(error instanceof ConfigError)) {
    const status = STATUS_OF[error.code];
    return status === undefined ? null : { status, code: error.code, detail: error.message };
  }
  return isBodyError(error) ? fromBodyError(error) : null;
}

/** What a caller learns about an error of our own. */
export const UNEXPECTED = {
  status: 500,
  code: "INTERNAL",
  detail: "The request failed. The service's log says why",
} as const;

/** Errors that are the caller's, or that only the caller can wait for. */
const STATUS_OF: Readonly<Record<string, number>> = {
  BAD_INPUT: 400,
  UNKNOWN_MODEL: 404,
  NOT_FOUND: 404,
  REFUSED: 409,
  NO_DECISION: 409,
  FAILED: 409,
  ABANDONED: 409,
};

interface BodyError extends Error {
  status: number;
  type: string;
}

/** What Express says about a request that it cannot read. */
function isBodyError(error: unknown): error is BodyError {
  return (
    error instanceof Error &&
    "status" in error &&
    typeof error.status === "number" &&
    error.status >= 400 &&
    error.status < 500
  );
}

function fromBodyError({ status, type }: BodyError): Pick<Problem, "status" | "code" | "detail"> {
  const detail: Record<string, string> = {
    "entity.parse.failed": "The body is not valid JSON",
    "entity.too.large": "The body is too large",
    "encoding.unsupported": "Send the body without this Content-Encoding",
    "charset.unsupported": "Send the body in UTF-8",
    "request.size.invalid": "Content-Length does not match the body",
    "request.aborted": "The request was aborted",
  };
  return { status, code: "BAD_REQUEST", detail: detail[type] ?? "The request cannot be read" };
}
