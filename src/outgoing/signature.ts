import { sign, verify } from "@octokit/webhooks-methods";

/** The header that holds `sha256=` and the hex digits of the body's HMAC-SHA256, in what we send and in what we are told. */
export const SIGNATURE_HEADER = "X-Retrigger-Signature-256";

/** The signature as a header; none without a secret. */
export async function signBody(secret: string | null, body: string): Promise<Record<string, string>> {
  return secret === null ? {} : { [SIGNATURE_HEADER]: await sign(secret, body) };
}

/** Whether a body was signed by somebody who has the secret; takes as long for a wrong signature as for a right one. */
export async function isSigned(
  secret: string,
  body: string,
  signature: string | undefined,
): Promise<boolean> {
  // The library throws for an empty body or signature, which nobody has signed.
  return (
    body !== "" && signature !== undefined && signature !== "" && (await verify(secret, body, signature))
  );
}
