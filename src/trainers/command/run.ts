import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import type { CommandRequest } from "../../core/dispatch/request.ts";
import { messageOf } from "../../core/errors.ts";
import type { Redact } from "../../process/redact.ts";
import type { RunEnd, RunOptions } from "../trainer.ts";

/** How long a training may take to exit on SIGTERM before it is killed. */
const GRACE_MS = 5_000;

/**
 * A shell script that runs its arguments unchanged, without interpreting them, and returns their exit code. Meanwhile it
 * watches its standard input, which closes when the worker is gone for any reason: then it kills its whole process group.
 */
const GUARD = `exec 3<&0
"$@" </dev/null 3<&- &
training=$!
{ read -r _ <&3; kill -KILL 0; } >/dev/null 2>&1 &
exec 3<&-
wait "$training"`;

/** Runs a command until it ends, reaches its limit or is aborted, then kills whatever is left of its process group. */
export async function runCommand(
  { command, workingDirectory }: CommandRequest,
  {
    environment,
    limitMs,
    redact,
  }: { environment: Readonly<Record<string, string>>; limitMs: number; redact: Redact },
  { signal, log }: RunOptions,
): Promise<RunEnd> {
  const startedAt = performance.now();
  const seconds = (): number => Math.round(performance.now() - startedAt) / 1000;
  if (signal.aborted) return { conclusion: "lost", message: "The worker stopped", durationSeconds: 0 };
  const child = spawn("/bin/sh", ["-c", GUARD, "retrigger", ...command], {
    cwd: workingDirectory,
    // Not our own environment, which holds the passwords of Postgres and Redis.
    env: environment,
    // Gives the program its own process group, which can be killed as a whole.
    detached: true,
    stdio: ["pipe", "pipe", "pipe"],
  });
  // The guard may exit before its input is closed.
  child.stdin.on("error", () => {});
  for (const stream of [child.stdout, child.stderr]) forwardLines(stream, redact, log);
  const ended = endOf(child);
  const limit = AbortSignal.timeout(limitMs);
  const stop = AbortSignal.any([signal, limit]);
  const stopped = new Promise<void>((resolve) =>
    stop.addEventListener("abort", () => resolve(), { once: true }),
  );
  if (!stop.aborted) await Promise.race([ended, stopped]);
  const isStopped = stop.aborted && child.exitCode === null && child.signalCode === null;
  if (isStopped) await endGroup(child, ended);
  const { message, code } = await ended;
  // Ends the processes that the program left behind in its group.
  child.stdin.end();
  if (isStopped) {
    return limit.aborted
      ? {
          conclusion: "timed_out",
          message: `It ran longer than its limit of ${limitMs / 1000} s`,
          durationSeconds: seconds(),
        }
      : {
          conclusion: "lost",
          message: "The worker stopped and ended the training",
          durationSeconds: seconds(),
        };
  }
  return code === 0
    ? { conclusion: "success", message: null, durationSeconds: seconds() }
    : { conclusion: "failure", message, durationSeconds: seconds() };
}

/** Waits for the guard to exit; its exit code is that of the training. */
async function endOf(child: ChildProcess): Promise<{ code: number | null; message: string }> {
  try {
    await once(child, "exit");
  } catch (error) {
    return { code: null, message: `Cannot start the program: ${messageOf(error)}` };
  }
  const { exitCode: code, signalCode } = child;
  if (code === 127) return { code, message: "Exit code 127: program not found. Correct TRAINER_COMMAND" };
  if (code === 126)
    return { code, message: "Exit code 126: the program is not executable. Correct TRAINER_COMMAND" };
  return { code, message: code === null ? `Ended by ${signalCode}` : `Exit code ${code}` };
}

async function endGroup(child: ChildProcess, ended: Promise<unknown>): Promise<void> {
  signalGroup(child, "SIGTERM");
  const isGone = (async () => {
    await ended;
    while (signalGroup(child, 0)) await sleep(50);
  })();
  await Promise.race([isGone, sleep(GRACE_MS)]);
  signalGroup(child, "SIGKILL");
}

/** Returns whether the group still had a process to signal. */
function signalGroup({ pid }: ChildProcess, signal: NodeJS.Signals | 0): boolean {
  try {
    return pid !== undefined && process.kill(-pid, signal);
  } catch {
    return false;
  }
}

/** Of a longer line, the rest is left out. */
const MAX_LINE_LENGTH = 64 * 1024;

/** Left out too once the line is redacted, because a secret may stand across the cut. */
const CUT_MARGIN = 4 * 1024;

/**
 * Forwards whole lines, redacted: of a secret that was cut first, a part would remain. A carriage return also ends a line: progress
 * bars print nothing else for hours.
 */
function forwardLines(stream: NodeJS.ReadableStream, redact: Redact, log: (text: string) => void): void {
  let text = "";
  let isCut = false;
  const forward = (lines: string): void => {
    const kept = isCut ? lines.slice(/[\r\n]|$/.exec(lines)?.index) : lines;
    isCut = false;
    const trimmed = kept.replace(/^[\r\n]+/, "").trimEnd();
    if (trimmed !== "") log(redact(trimmed));
  };
  stream.setEncoding("utf8");
  stream.on("data", (chunk: string) => {
    text += chunk;
    const end = Math.max(text.lastIndexOf("\n"), text.lastIndexOf("\r")) + 1;
    if (end > 0) forward(text.slice(0, end));
    text = text.slice(end);
    if (text.length <= MAX_LINE_LENGTH) return;
    if (!isCut) log(`${redact(text).slice(0, -CUT_MARGIN)}… (the rest of this line is left out)`);
    isCut = true;
    text = "";
  });
  stream.on("end", () => forward(text));
}
