import { messageOf } from "../core/errors.ts";

/** What is known about a request that received no response. */
export interface NetworkFailure {
  /** Whether it is certain that the request never arrived. */
  isUnsent: boolean;
  message: string;
}

/** System calls that fail before a connection exists. */
const UNCONNECTED_CALLS = ["connect", "getaddrinfo"];

/** Codes that `fetch` reports only while connecting. */
const UNCONNECTED_CODES = [
  "UND_ERR_CONNECT_TIMEOUT",
  // A certificate is verified before anything is sent.
  "CERT_HAS_EXPIRED",
  "DEPTH_ZERO_SELF_SIGNED_CERT",
  "SELF_SIGNED_CERT_IN_CHAIN",
  "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
  "UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
  "ERR_TLS_CERT_ALTNAME_INVALID",
];

/** Explains an error of `fetch`: `TypeError: fetch failed`, with the reason among its causes. */
export function explainNetworkFailure(error: unknown): NetworkFailure {
  const reasons = listReasons(error);
  const codes = reasons.map((reason) => textOf(reason, "code")).filter((code) => code !== undefined);
  return {
    // If several addresses were tried, each must have failed before it connected.
    isUnsent: reasons.length > 0 && reasons.every(isUnconnected),
    message: messageOf(reasons.at(-1)) || codes.join(", "),
  };
}

/** The root causes of an error: several if several addresses were tried. */
function listReasons(error: unknown): unknown[] {
  if (error instanceof AggregateError) return error.errors.flatMap(listReasons);
  if (error instanceof Error && error.cause !== undefined) return listReasons(error.cause);
  return [error];
}

/**
 * Whether the failure happened before a connection existed. The code alone does not show this: an open connection can also
 * fail with EHOSTUNREACH or ETIMEDOUT, from `read` or `write`, and then the request may have arrived.
 */
function isUnconnected(reason: unknown): boolean {
  const call = textOf(reason, "syscall");
  if (call !== undefined) return UNCONNECTED_CALLS.includes(call);
  return UNCONNECTED_CODES.includes(textOf(reason, "code") ?? "");
}

function textOf(reason: unknown, key: "code" | "syscall"): string | undefined {
  if (!(reason instanceof Error)) return undefined;
  const value = (reason as Error & Partial<Record<typeof key, unknown>>)[key];
  return typeof value === "string" ? value : undefined;
}
