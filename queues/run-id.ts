import { createHash, randomUUID } from "node:crypto";

/** A new run id: a UUIDv7, so that ids sort by creation time. */
export function createRunId(): string {
  const time = Date.now().toString(16).padStart(12, "0");
  // `randomUUID` keeps random bytes in stock. From its variant on, a UUIDv4 is built like a UUIDv7.
  return `${time.slice(0, 8)}-${time.slice(8)}-7${randomUUID().slice(15)}`;
}

/**
 * The run id of an inbox job: a UUIDv7 whose random part is a hash of the job's key. Every attempt, even after a crash,
 * derives the same id, and so finds the lock, the chain and the rows of an earlier attempt.
 */
export function deriveRunId(jobKey: string, timestampMs: number): string {
  return toUuidV7(timestampMs, createHash("sha256").update(jobKey).digest());
}

/** When a run id was created, or its job: Unix milliseconds. */
export function toTimestampMs(runId: string): number {
  return Number.parseInt(runId.replace("-", "").slice(0, 12), 16);
}

/** RFC 9562, section 5.7: 48 bits of Unix milliseconds, then version, variant and 74 random bits. */
function toUuidV7(timestampMs: number, random: Uint8Array): string {
  const bytes = Buffer.alloc(16);
  // A producer may have set any number as its job's time.
  bytes.writeUIntBE(Math.min(Math.max(0, Math.trunc(timestampMs) || 0), 2 ** 48 - 1), 0, 6);
  bytes.set(random.subarray(0, 10), 6);
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x70;
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80;
  return bytes.toString("hex").replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}
