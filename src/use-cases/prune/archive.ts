import { type FileHandle, open } from "node:fs/promises";
import { dirname } from "node:path";
import { z } from "zod";
import { messageOf, PermanentError } from "../../core/errors.ts";
import { formatCount } from "../../core/format.ts";
import { parseJson } from "../../core/parse.ts";
import { HEADER_BYTES, isPartOfHeader, packMember, readLength, unpackMember } from "./gzip-member.ts";

/** A file to which pruned rows are appended, a gzip member for each batch. */
export interface Archive {
  /** Bytes of a batch that was not written to its end, and was cut off; 0 for none. */
  cutOff: number;
  /** Returns once the lines are on the disk. */
  append(lines: readonly string[]): Promise<void>;
  close(): Promise<void>;
}

const Head = z.object({ retrigger: z.literal("archive"), version: z.literal(1), database: z.string() });

/**
 * Opens an archive, or creates it.
 *
 * @param database Identifies the database: an archive has the rows of one only.
 * @throws PermanentError if the file is something else, or belongs to another database.
 */
export async function openArchive(path: string, database: string): Promise<Archive> {
  const { file, isNew } = await openFile(path);
  try {
    const { size } = await file.stat();
    const end = await findEnd(file, size, path);
    if (end > 0) await requireOwn(file, path, database);
    if (end < size) await cutBack(file, end);
    const head = JSON.stringify({ retrigger: "archive", version: 1, database });
    let position = end === 0 ? await write(file, 0, [head]) : end;
    if (isNew) await syncDirectory(path);
    return {
      cutOff: size - end,
      async append(lines) {
        if (lines.length > 0) position += await write(file, position, lines);
      },
      close: () => file.close(),
    };
  } catch (error) {
    await file.close();
    throw error;
  }
}

async function openFile(path: string): Promise<{ file: FileHandle; isNew: boolean }> {
  try {
    return { file: await open(path, "wx+"), isNew: true };
  } catch (error) {
    if (codeOf(error) !== "EEXIST") throw cannotOpen(path, error);
  }
  try {
    return { file: await open(path, "r+"), isNew: false };
  } catch (error) {
    throw cannotOpen(path, error);
  }
}

function codeOf(error: unknown): string | undefined {
  return (error as NodeJS.ErrnoException).code;
}

function cannotOpen(path: string, error: unknown): PermanentError {
  const why = codeOf(error) === "ENOENT" ? "its directory does not exist" : messageOf(error);
  return new PermanentError("BAD_INPUT", `--archive: cannot open ${path}: ${why}`, { cause: error });
}

/** Where the last whole member ends. What follows was being written when the process ended; its rows are in the database still. */
async function findEnd(file: FileHandle, size: number, path: string): Promise<number> {
  let [position, last] = [0, 0];
  while (position < size) {
    const start = await readAt(file, position, Math.min(HEADER_BYTES, size - position));
    const length = readLength(start);
    if (length === null) {
      if (isPartOfHeader(start)) break;
      throw refuse(path, position === 0 ? "it is something else" : `it is damaged after byte ${position}`);
    }
    if (position + length > size) break;
    last = position;
    position += length;
  }
  // A file may have its length before it has its content.
  const isWhole = position === 0 || unpackMember(await readAt(file, last, position - last)) !== null;
  return isWhole ? position : last;
}

async function requireOwn(file: FileHandle, path: string, database: string): Promise<void> {
  const length = readLength(await readAt(file, 0, HEADER_BYTES)) ?? 0;
  const head = Head.safeParse(parseJson(unpackMember(await readAt(file, 0, length)) ?? "")).data;
  if (head === undefined) throw refuse(path, "it is something else");
  if (head.database !== database) throw refuse(path, "it has the rows of another database");
}

function refuse(path: string, why: string): PermanentError {
  return new PermanentError(
    "BAD_INPUT",
    `--archive: ${path} exists, and rows cannot be appended to it: ${why}. Name another file`,
  );
}

async function readAt(file: FileHandle, position: number, length: number): Promise<Buffer> {
  const { buffer, bytesRead } = await file.read(Buffer.alloc(length), 0, length, position);
  return buffer.subarray(0, bytesRead);
}

/** Returns how many bytes were written. */
async function write(file: FileHandle, position: number, lines: readonly string[]): Promise<number> {
  const member = packMember(`${lines.join("\n")}\n`);
  for (let done = 0; done < member.length;)
    done += (await file.write(member, done, member.length - done, position + done)).bytesWritten;
  await file.sync();
  return member.length;
}

async function cutBack(file: FileHandle, end: number): Promise<void> {
  await file.truncate(end);
  await file.sync();
}

/** A new file is on the disk once its directory is. */
async function syncDirectory(path: string): Promise<void> {
  const directory = await open(dirname(path), "r");
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}

/** What to say about bytes that were cut off; null if there were none. */
export function describeCutOff(path: string, { cutOff }: Pick<Archive, "cutOff">): string | null {
  if (cutOff === 0) return null;
  return `${path} ends in the middle of a record: it is cut back by ${formatCount(cutOff)} bytes to the last whole one. An interrupted prune had not removed those rows: they are archived again.`;
}
