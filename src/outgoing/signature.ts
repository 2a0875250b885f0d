import { sign, verify } from "@octokit/webhooks-methods";

/** The header with `sha256=` and the body's HMAC-SHA256 in hex, in requests that we send and in callbacks that we receive. */
export const SIGNATURE_HEADER = "X-Retrigger-Signature-256";

/** The signature as a header; no header without a secret. */
export async function signBody(secret: string | null, body: string): Promise<Record<string, string>> {
  return secret === null ? {} : { [SIGNATURE_HEADER]: await sign(secret, body) };
}

/** Whether a body was signed with the secret. Takes the same time for a wrong signature as for a right one. */
export async function isSigned(
  secret: string,
  body: string,
  signature: string | undefined,
): Promise<boolean> {
  // The library throws for an empty body or signature, neither of which is valid.
  return (
    body !== "" && signature !== undefined && signature !== "" && (await verify(secret, body, signature))
  );
}
