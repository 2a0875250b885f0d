import { createHmac } from "node:crypto";

/** Signs a body as docs/trainers.md describes it, independently of the program. @param timestamp Unix seconds. */
export function signedHeaders(
  secret: string,
  body: string | Buffer,
  timestamp: number | string = Math.floor(Date.now() / 1000),
): Record<string, string> {
  const digest = createHmac("sha256", secret).update(`${timestamp}.`).update(body).digest("hex");
  return { "x-retrigger-timestamp": String(timestamp), "x-retrigger-signature-256": `sha256=${digest}` };
}

/** The two headers of a request that the program has sent. */
export function signatureOf(headers: Record<string, string> = {}): Record<string, string | undefined> {
  return {
    "x-retrigger-timestamp": headers["x-retrigger-timestamp"],
    "x-retrigger-signature-256": headers["x-retrigger-signature-256"],
  };
}
