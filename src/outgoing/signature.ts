import { createHmac, timingSafeEqual } from "node:crypto";

/**
 * How requests are signed, both those that we send and the callbacks that we receive:
 *
 *     X-Retrigger-Timestamp: 1796000000
 *     X-Retrigger-Signature-256: sha256=<hex>
 *
 * The signature is the HMAC-SHA256 of the timestamp, a dot and the body's bytes, under the secret of both sides. The timestamp is
 * in Unix seconds. A receiver refuses a request whose timestamp is more than 300 s off its own clock, so that a request that was
 * recorded on its way cannot be sent again later.
 */
export const SIGNATURE_HEADER = "X-Retrigger-Signature-256";
export const TIMESTAMP_HEADER = "X-Retrigger-Timestamp";

const MAX_OFFSET_S = 300;

/** The signature as headers; none without a secret. */
export function signBody(secret: string | null, body: string, nowMs = Date.now()): Record<string, string> {
  if (secret === null) return {};
  const timestamp = String(Math.floor(nowMs / 1000));
  const digest = computeDigest(secret, withTimestamp(timestamp, Buffer.from(body))).toString("hex");
  return { [TIMESTAMP_HEADER]: timestamp, [SIGNATURE_HEADER]: `sha256=${digest}` };
}

/** Returns a request's header; undefined if it has none of that name. */
type ReadHeader = (name: string) => string | undefined;

/** Why a request does not count as signed with one of the secrets, and what to send instead; null if it does. */
export function findSignatureFault(
  secrets: Iterable<string>,
  body: Buffer,
  readHeader: ReadHeader,
  nowMs = Date.now(),
): string | null {
  const timestamp = readHeader(TIMESTAMP_HEADER) ?? "";
  if (!/^\d{1,12}$/.test(timestamp))
    return `${TIMESTAMP_HEADER} is ${timestamp === "" ? "missing" : "not a time"}: send the time in Unix seconds, and sign "<timestamp>.<body>" instead of the body alone`;
  const signed = withTimestamp(timestamp, body);
  if (![...secrets].some((secret) => isSigned(secret, signed, readHeader(SIGNATURE_HEADER))))
    return `${SIGNATURE_HEADER} is missing or wrong: it must be sha256= and the hex HMAC-SHA256 of "<timestamp>.<body>"`;
  const offsetS = Math.round(nowMs / 1000 - Number(timestamp));
  return Math.abs(offsetS) <= MAX_OFFSET_S
    ? null
    : `${TIMESTAMP_HEADER} is ${Math.abs(offsetS)} s ${offsetS > 0 ? "old" : "ahead"}, at most ${MAX_OFFSET_S} s are accepted: sign each request when it is sent, and check the clocks`;
}

/** Whether bytes were signed with the secret. Takes the same time for a wrong signature as for a right one. */
export function isSigned(secret: string, bytes: Buffer, signature: string | undefined): boolean {
  const hex = /^sha256=([0-9a-f]{64})$/i.exec(signature ?? "")?.[1];
  return hex !== undefined && timingSafeEqual(computeDigest(secret, bytes), Buffer.from(hex, "hex"));
}

function withTimestamp(timestamp: string, body: Buffer): Buffer {
  return Buffer.concat([Buffer.from(`${timestamp}.`), body]);
}

function computeDigest(secret: string, bytes: Buffer): Buffer {
  return createHmac("sha256", secret).update(bytes).digest();
}
