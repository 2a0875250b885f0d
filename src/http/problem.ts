import { STATUS_CODES } from "node:http";
import type { Duplex } from "node:stream";
import type { Request, Response } from "express";
import { ConfigError, PermanentError, SourceError, TransientError } from "../core/errors.ts";
import { isServerAway } from "../redis/refusal.ts";
import { renderProblem } from "./problem-page.tsx";
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

/**
 * Responds with a problem: as a page to a browser. A server that is away may be back soon, so a sender is told to retry.
 *
 * @param isBegun Whether the route ran, so that a part of a change may have been made.
 */
export function respondProblem(
  response: Response,
  status: number,
  code: string,
  detail: string,
  { isBegun = false } = {},
): void {
  if (status === 503) response.set("Retry-After", "5");
  if (isPageWanted(response.req)) {
    response.status(status).set("Cache-Control", "no-store").type("html");
    return void response.send(
      renderProblem({ status, detail, isRead: response.req.method === "GET", isBegun }),
    );
  }
  response
    .status(status)
    .type(PROBLEM_TYPE)
    .send(describeProblem(status, code, detail));
}

/** Whether a person opened a page, or sent its form. */
function isPageWanted(request: Request): boolean {
  const isApi = request.originalUrl.startsWith("/api/") || request.originalUrl.startsWith("/queues/api/");
  return !isApi && request.accepts(["application/json", "text/html"]) === "text/html";
}

const PROBLEM_TYPE = "application/problem+json";

function describeProblem(status: number, code: string, detail: string): string {
  const problem: Problem = {
    type: "about:blank",
    title: STATUS_CODES[status] ?? "Error",
    status,
    detail,
    code,
  };
  return JSON.stringify(problem);
}

/** Responds to what is no HTTP request, or came too slowly, and closes the connection. */
export function refuseConnection(error: NodeJS.ErrnoException, socket: Duplex): void {
  if (!socket.writable || error.code === "ECONNRESET") return void socket.destroy();
  const [status, detail] = CONNECTION_FAULTS[error.code ?? ""] ?? [400, "This is no HTTP request"];
  const body = describeProblem(status, "BAD_REQUEST", detail);
  const head = [
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}`,
    `Content-Type: ${PROBLEM_TYPE}`,
    `Content-Length: ${Buffer.byteLength(body)}`,
    "Connection: close",
  ];
  socket.end(`${head.join("\r\n")}\r\n\r\n${body}`);
}

const CONNECTION_FAULTS: Readonly<Record<string, [status: number, detail: string]>> = {
  HPE_HEADER_OVERFLOW: [431, "The headers are too large"],
  ERR_HTTP_REQUEST_TIMEOUT: [408, "The request came too slowly"],
};

/** What an error means to the caller; null for one that is our own fault, which is logged and not shown. */
export function toProblem(error: unknown): Pick<Problem, "status" | "code" | "detail"> | null {
  if (error instanceof RequestError) return { status: error.status, code: error.code, detail: error.message };
  // A server that was lost a moment ago, before its watch could notice.
  if (isServerAway(error))
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
  if (error instanceof SourceError) return { status: 409, code: error.code, detail: error.message };
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
  NO_HISTORY: 409,
  TOO_MUCH_HISTORY: 409,
  BAD_INPUT: 400,
  UNKNOWN_MODEL: 404,
  NOT_FOUND: 404,
  REFUSED: 409,
  NO_DECISION: 409,
  NO_DATA: 409,
  TOO_MUCH_DATA: 409,
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
