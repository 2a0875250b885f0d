import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import type { WriteStream } from "node:fs";
import { join } from "node:path";
import { toArguments } from "../support/bundle.ts";
import { collectLogLines } from "../support/process.ts";

export interface WorkerProcess {
  child: ChildProcess;
  /** The parsed lines of its log. */
  lines: Record<string, unknown>[];
  hasEnded(): boolean;
  ended: Promise<unknown>;
}

export function spawnWorker(
  root: string,
  logFile: WriteStream,
  settings: Record<string, string>,
): WorkerProcess {
  const child = spawn(process.execPath, toArguments(join(root, "test/faults/faulty-worker.ts")), {
    env: { PATH: process.env["PATH"], TSX_DISABLE_CACHE: "1", NODE_ENV: "test", ...settings },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const lines: Record<string, unknown>[] = collectLogLines(child.stdout);
  child.stdout?.on("data", (chunk: Buffer) => logFile.write(chunk));
  child.stderr?.on("data", (chunk: Buffer) => {
    logFile.write(chunk);
    lines.push({ msg: chunk.toString() });
  });
  return {
    child,
    lines,
    hasEnded: () => child.exitCode !== null || child.signalCode !== null,
    ended: once(child, "exit"),
  };
}

export async function untilReady(worker: WorkerProcess): Promise<void> {
  while (!worker.hasEnded() && !worker.lines.some(({ msg }) => msg === "Retrigger is ready"))
    await new Promise((resolve) => setTimeout(resolve, 20));
}

/** Stops the workers gracefully. Returns those that had ended on their own and those that did not end in time. */
export async function stopWorkers(workers: WorkerProcess[]): Promise<string[]> {
  const leaks: string[] = [];
  for (const { child, lines, hasEnded, ended } of workers) {
    if (hasEnded()) {
      if (child.signalCode !== "SIGKILL")
        leaks.push(`a worker ended on its own (${child.exitCode}): ${String(lines.at(-1)?.["msg"])}`);
      continue;
    }
    child.kill("SIGTERM");
    const timer = setTimeout(() => {
      leaks.push("a worker did not end on SIGTERM");
      child.kill("SIGKILL");
    }, 30_000);
    await ended;
    clearTimeout(timer);
  }
  return leaks;
}
