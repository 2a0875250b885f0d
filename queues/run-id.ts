import { createHash, randomBytes } from "node:crypto";

/** A new run id: a UUIDv7, so that ids sort by the time at which they were made. */
export function createRunId(): string {
  return toUuidV7(Date.now(), randomBytes(10));
}

/**
 * The run id of an inbox job: a UUIDv7 whose random part is a hash of the job's key. Every try of the job, after a crash
 * too, comes to the same id, and so finds the lock, the chain and the rows that an earlier try left.
 */
export function deriveRunId(jobKey: string, timestampMs: number): string {
  return toUuidV7(timestampMs, createHash("sha256").update(jobKey).digest());
}

/** RFC 9562, section 5.7: 48 bits of Unix milliseconds, then version, variant and 74 bits at random. */
function toUuidV7(timestampMs: number, random: Uint8Array): string {
  const bytes = Buffer.alloc(16);
  // A producer may have sent any number as its job's time.
  bytes.writeUIntBE(Math.min(Math.max(0, Math.trunc(timestampMs) || 0), 2 ** 48 - 1), 0, 6);
  bytes.set(random.subarray(0, 10), 6);
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x70;
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80;
  return bytes.toString("hex").replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}
