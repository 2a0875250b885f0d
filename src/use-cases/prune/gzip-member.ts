import { constants, crc32, deflateRawSync, gunzipSync, inflateRawSync } from "node:zlib";

/**
 * A gzip file may have several members, which `zcat` reads as one text. Ours say in an extra field (RFC 1952, 2.3.1.1) how long they
 * are, so that the end of the last whole one is found without unpacking any.
 */
const HEADER = Buffer.from([0x1f, 0x8b, 8, 4, 0, 0, 0, 0, 0, 255, 12, 0, 0x52, 0x54, 8, 0]);
export const HEADER_BYTES = HEADER.length + 8;
const TRAILER_BYTES = 8;

/** Packs a text as one member. */
export function packMember(text: string): Buffer {
  const content = Buffer.from(text);
  const packed = deflateRawSync(content);
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(HEADER_BYTES + packed.length + TRAILER_BYTES));
  const trailer = Buffer.alloc(TRAILER_BYTES);
  trailer.writeUInt32LE(crc32(content), 0);
  trailer.writeUInt32LE(content.length % 2 ** 32, 4);
  return Buffer.concat([HEADER, length, packed, trailer]);
}

/** The text of a whole member; null if it is damaged. */
export function unpackMember(member: Buffer): string | null {
  try {
    return gunzipSync(member).toString();
  } catch {
    return null;
  }
}

const FIRST_BYTES = 256;

/** The text with which a damaged or unfinished member begins, as far as it takes to match; null if it never does. */
export function unpackStart(member: Buffer, match: RegExp): string | null {
  const packed = member.subarray(HEADER_BYTES);
  for (let length = FIRST_BYTES; ; length *= 2) {
    const text = inflateStart(packed.subarray(0, length));
    if (text === null || match.test(text)) return text;
    if (length >= packed.length) return null;
  }
}

function inflateStart(packed: Buffer): string | null {
  try {
    return inflateRawSync(packed, { finishFlush: constants.Z_SYNC_FLUSH }).toString();
  } catch {
    return null;
  }
}

/** The length of the member that begins so; null if this is none of ours. */
export function readLength(start: Buffer): number | null {
  if (start.length < HEADER_BYTES || !start.subarray(0, HEADER.length).equals(HEADER)) return null;
  const length = Number(start.readBigUInt64LE(HEADER.length));
  return length > HEADER_BYTES + TRAILER_BYTES ? length : null;
}

/** Whether a file that ends after these bytes may have been cut off within the head of a member. */
export function isPartOfHeader(start: Buffer): boolean {
  return (
    start.length < HEADER_BYTES && HEADER.subarray(0, start.length).equals(start.subarray(0, HEADER.length))
  );
}
