import { createWriteStream } from "node:fs";
import { rename, rm, stat } from "node:fs/promises";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { messageOf, PermanentError } from "../core/errors.ts";
import { escapeControls } from "../process/terminal.ts";

/** Writes a text to the output as its reader takes it. A terminal obeys nothing in it. */
export async function writeStdout(parts: AsyncIterable<string>): Promise<void> {
  const shown = process.stdout.isTTY ? toTerminal(parts) : parts;
  await pipeline(Readable.from(shown, { objectMode: false }), process.stdout, { end: false });
}

async function* toTerminal(parts: AsyncIterable<string>): AsyncGenerator<string> {
  for await (const part of parts) yield escapeControls(part.replaceAll("\r\n", "\n"));
}

/**
 * Writes a text to a file that only its owner may read, which appears, or is replaced, once it is whole. Returns its size in bytes.
 * @throws PermanentError if the file cannot be written.
 */
export async function writeToFile(path: string, parts: AsyncIterable<string>): Promise<number> {
  const known = await stat(path).catch(() => null);
  if (known && !known.isFile())
    throw new PermanentError("BAD_INPUT", `--output ${path} is not a regular file. Name a file`);
  const partial = `${path}.${process.pid}.part`;
  const file = createWriteStream(partial, { flags: "wx", mode: 0o600 });
  try {
    await pipeline(Readable.from(parts, { objectMode: false }), file);
    await rename(partial, path);
  } catch (error) {
    await rm(partial, { force: true });
    throw isOfFile(error)
      ? new PermanentError(
          "BAD_INPUT",
          `Cannot write ${path}: ${messageOf(error)}. Name another file with --output`,
          { cause: error },
        )
      : error;
  }
  return file.bytesWritten;
}

/** Whether the system refused to write: what else fails is explained already. */
function isOfFile(error: unknown): boolean {
  return error instanceof Error && "syscall" in error;
}
