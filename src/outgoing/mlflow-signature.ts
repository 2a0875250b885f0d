import { createHmac, timingSafeEqual } from "node:crypto";

const SIGNATURE = "X-MLflow-Signature";
const DELIVERY_ID = "X-MLflow-Delivery-Id";
const TIMESTAMP = "X-MLflow-Timestamp";

const MAX_OFFSET_S = 300;

/**
 * Why a request does not count as sent by MLflow, and what to do; null if it does. MLflow signs
 * `<delivery id>.<timestamp>.<body>` by HMAC-SHA256, as `v1,<base64>`, with the time in Unix seconds.
 *
 * Source: MLflow 3, documentation of webhooks, "HMAC Signature Verification".
 */
export function findMlflowSignatureFault(
  secrets: Iterable<string>,
  body: Buffer,
  readHeader: (name: string) => string | undefined,
  nowMs = Date.now(),
): string | null {
  const deliveryId = readHeader(DELIVERY_ID) ?? "";
  if (!/^[\x21-\x7e]{1,200}$/.test(deliveryId)) return `${DELIVERY_ID} is missing or malformed`;
  const timestamp = readHeader(TIMESTAMP) ?? "";
  if (!/^\d{1,12}$/.test(timestamp)) return `${TIMESTAMP} is missing or no time in Unix seconds`;
  const given = Buffer.from(
    /^v1,([A-Za-z0-9+/]{43}=)$/.exec(readHeader(SIGNATURE) ?? "")?.[1] ?? "",
    "base64",
  );
  const isSigned = [...secrets].some((secret) => {
    const own = createHmac("sha256", secret).update(`${deliveryId}.${timestamp}.`).update(body).digest();
    return given.length === own.length && timingSafeEqual(given, own);
  });
  if (!isSigned)
    return `${SIGNATURE} is missing or wrong: give the webhook of MLflow the secret of MLFLOW_WEBHOOK_SECRET`;
  const offsetS = Math.round(nowMs / 1000 - Number(timestamp));
  return Math.abs(offsetS) <= MAX_OFFSET_S
    ? null
    : `${TIMESTAMP} is ${Math.abs(offsetS)} s ${offsetS > 0 ? "old" : "ahead"}, at most ${MAX_OFFSET_S} s are accepted: check the clocks`;
}

/** The id of a delivery, the same when it is sent again; only of a signed request. */
export function deliveryIdOf(readHeader: (name: string) => string | undefined): string {
  return readHeader(DELIVERY_ID) ?? "";
}
