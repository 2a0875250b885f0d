import { type FileHandle, open } from "node:fs/promises";
import { dirname } from "node:path";
import { z } from "zod";
import { messageOf, PermanentError } from "../../core/errors.ts";
import { formatCount } from "../../core/format.ts";
import { parseJson } from "../../core/parse.ts";
import {
  HEADER_BYTES,
  isPartOfHeader,
  packMember,
  readLength,
  unpackMember,
  unpackStart,
} from "./gzip-member.ts";

/** A file to which pruned rows are appended, a gzip member for each batch. */
export interface Archive {
  /** Bytes of a batch that was not written to its end, and was cut off; 0 for none. */
  cutOff: number;
  /** Returns once the lines are on the disk. */
  append(lines: readonly string[]): Promise<void>;
  close(): Promise<void>;
}

/** What the database still has, and has had. */
export interface ArchivedDatabase {
  /** Identifies it: an archive has the rows of one only. */
  id: string;
  hasRow(table: string, id: number): Promise<boolean>;
  /** How many decisions were ever pruned. */
  countPruned(): Promise<number>;
}

const Head = z.object({ retrigger: z.literal("archive"), version: z.literal(1), database: z.string() });

/**
 * Opens an archive, or creates it.
 *
 * A file that ends in the middle of a batch is cut back to the batch before, if the rows of the torn one are in the database still.
 *
 * @throws PermanentError if the file is something else, belongs to another database, or lacks rows that were removed.
 */
export async function openArchive(path: string, database: ArchivedDatabase): Promise<Archive> {
  const { file, isNew } = await openFile(path);
  try {
    const { size } = await file.stat();
    const end = await findEnd(file, size, path);
    if (end > 0) await requireOwn(file, path, database.id);
    if (end < size) {
      await requireUnremoved({ file, path, end, size }, database);
      await cutBack(file, end);
    }
    const head = JSON.stringify({ retrigger: "archive", version: 1, database: database.id });
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
    return { file: await open(path, "wx+", 0o600), isNew: true };
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

/** Where the last whole member ends. What follows was being written when the process ended, or was lost since. */
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

/** How much of a torn batch is read to find its first row. */
const TORN_BYTES = 1 << 20;

interface TornFile {
  file: FileHandle;
  path: string;
  /** Where the last whole batch ends. */
  end: number;
  size: number;
}

/**
 * A batch is removed once it is on the disk, and the next one is written after that: if the first row of the torn batch is in the
 * database still, nothing that followed was removed either.
 *
 * @throws PermanentError if it was, or if too little is left of the batch to tell.
 */
async function requireUnremoved(
  { file, path, end, size }: TornFile,
  database: ArchivedDatabase,
): Promise<void> {
  const torn = await readAt(file, end, Math.min(size - end, TORN_BYTES));
  const [, table, id] = FIRST_ROW.exec(unpackStart(torn, FIRST_ROW) ?? "") ?? [];
  if (table !== undefined && (await database.hasRow(table, Number(id)))) return;
  const lost = Math.max(0, (await database.countPruned()) - (await countDecisions(file, end)));
  const what =
    table === undefined
      ? "and what follows cannot be read"
      : `and row ${id} of ${table}, which follows, was removed`;
  throw refuse(
    path,
    `it ends in the middle of a record, ${what}: it was cut off after it was written. At most ${formatCount(lost)} decisions are lost, with what was removed with them and after them, unless another archive or a copy of this one has them`,
  );
}

const FIRST_ROW = /^\{"table":"(\w+)","row":\{"id":(-?\d+)[,}]/;

/** How many decisions the whole batches have. */
async function countDecisions(file: FileHandle, end: number): Promise<number> {
  const ids = new Set<number>();
  for (let position = 0; position < end;) {
    const length = readLength(await readAt(file, position, HEADER_BYTES)) ?? end;
    const text = unpackMember(await readAt(file, position, length)) ?? "";
    for (const [, id] of text.matchAll(/^\{"table":"retraining_decisions","row":\{"id":(-?\d+)/gm))
      ids.add(Number(id));
    position += length;
  }
  return ids.size;
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
  return `${path} ends in the middle of a record: it is cut back by ${formatCount(cutOff)} bytes to the last whole one. Those rows are in the database still: they are archived again.`;
}
