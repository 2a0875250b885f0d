import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readdir, readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { toArguments } from "./bundle.ts";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));

export interface Finished {
  code: number | null;
  stdout: string;
  stderr: string;
}

export interface LogLine extends Record<string, unknown> {
  level: number;
  msg: string;
}

/** Starts one of our scripts as a process, with only the given settings besides PATH and HOME. */
export function spawnScript(script: string, args: string[], settings: Record<string, string>): ChildProcess {
  return spawn(process.execPath, [...toArguments(script), ...args], {
    cwd: ROOT,
    env: {
      PATH: process.env["PATH"],
      HOME: process.env["HOME"],
      TSX_DISABLE_CACHE: "1",
      NODE_ENV: "test",
      ...settings,
    },
    stdio: ["ignore", "pipe", "pipe"],
  });
}

/** Runs one of our scripts to its end. */
export async function runScript(
  script: string,
  args: string[],
  settings: Record<string, string>,
): Promise<Finished> {
  const child = spawnScript(script, args, settings);
  const [stdout, stderr] = [collect(child.stdout), collect(child.stderr)];
  await once(child, "close");
  return { code: child.exitCode, stdout: stdout(), stderr: stderr() };
}

/** Waits until its standard output matches, and returns the output so far. */
export async function untilOutput(child: ChildProcess, pattern: RegExp): Promise<string> {
  let text = "";
  for await (const chunk of child.stdout ?? []) {
    text += String(chunk);
    if (pattern.test(text)) return text;
  }
  throw new Error(`The process ended before its output matched ${pattern}: ${text}`);
}

/** Collects the lines of a JSON log as they arrive. */
export function collectLogLines(stream: NodeJS.ReadableStream | null): LogLine[] {
  const lines: LogLine[] = [];
  let text = "";
  stream?.on("data", (chunk: Buffer) => {
    const parts = (text + chunk.toString()).split("\n");
    text = parts.pop() ?? "";
    lines.push(...parts.map((line) => JSON.parse(line) as LogLine));
  });
  return lines;
}

function collect(stream: NodeJS.ReadableStream | null): () => string {
  const chunks: Buffer[] = [];
  stream?.on("data", (chunk: Buffer) => chunks.push(chunk));
  return () => Buffer.concat(chunks).toString();
}

/** The command lines of all processes on this machine. */
export async function listCommands(): Promise<string[]> {
  return Promise.all((await listPids()).map((pid) => readProc(pid, "cmdline")));
}

/** The command lines of the processes with this text in their environment. */
export async function listCommandsWith(text: string): Promise<string[]> {
  const pids = await listPids();
  const environments = await Promise.all(pids.map((pid) => readProc(pid, "environ")));
  const found = pids.filter((_, index) => environments[index]?.includes(text));
  return Promise.all(found.map((pid) => readProc(pid, "cmdline")));
}

async function listPids(): Promise<string[]> {
  return (await readdir("/proc")).filter((name) => /^\d+$/.test(name));
}

/** Returns an empty text if the process has ended or belongs to another user. */
async function readProc(pid: string, file: "cmdline" | "environ"): Promise<string> {
  return readFile(`/proc/${pid}/${file}`, "utf8").catch(() => "");
}
