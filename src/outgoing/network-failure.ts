import { messageOf } from "../errors.ts";

/** What becomes of a request that got no answer. */
export interface NetworkFailure {
  /** Whether it is certain that the request never arrived. */
  isUnsent: boolean;
  message: string;
}

/** A connection that was never made carried no request. */
const UNSENT = [
  "ECONNREFUSED",
  "ENOTFOUND",
  "EAI_AGAIN",
  "EHOSTUNREACH",
  "ENETUNREACH",
  "UND_ERR_CONNECT_TIMEOUT",
  // The certificate is looked at before anything is sent.
  "CERT_HAS_EXPIRED",
  "DEPTH_ZERO_SELF_SIGNED_CERT",
  "SELF_SIGNED_CERT_IN_CHAIN",
  "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
  "UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
  "ERR_TLS_CERT_ALTNAME_INVALID",
];

/** Explains what `fetch` throws: `TypeError: fetch failed`, with the reason among its causes. */
export function explainNetworkFailure(error: unknown): NetworkFailure {
  const reasons = listCauses(error);
  const codes = reasons.map(codeOf).filter((code) => code !== undefined);
  return {
    // Of several addresses, each must have refused.
    isUnsent: codes.length > 0 && codes.every((code) => UNSENT.includes(code)),
    message: messageOf(reasons.at(-1)) || codes.join(", "),
  };
}

/** The error and its causes down to the last ones, of which there are several where several addresses were tried. */
function listCauses(error: unknown): unknown[] {
  if (error instanceof AggregateError) return error.errors.flatMap(listCauses);
  if (error instanceof Error && error.cause !== undefined) return [error, ...listCauses(error.cause)];
  return [error];
}

function codeOf(error: unknown): string | undefined {
  return error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : undefined;
}
