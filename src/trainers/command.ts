import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { statSync } from "node:fs";
import { resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { z } from "zod";
import type { Training } from "../core/dispatch/dispatch.ts";
import { CommandRequest, type TrainingOrder } from "../core/dispatch/request.ts";
import { messageOf } from "../core/errors.ts";
import { fault, type Finding, ok } from "../core/finding.ts";
import { type Settings, wholeNumber } from "../core/setting.ts";
import { findProgram, isExecutable } from "../process/find-program.ts";
import type { Redact } from "../process/redact.ts";
import { json } from "../settings/schemas.ts";
import type { RunEnd, RunOptions, Trainer, TrainerDefinition } from "./trainer.ts";

/** How long a training may take to exit on SIGTERM before it is killed. */
const GRACE_MS = 5_000;

const SETTINGS = {
  command: {
    variable: "TRAINER_COMMAND",
    schema: json(
      z.array(z.string().regex(/^[^\0]*$/)).min(1),
      'a JSON array of strings such as ["python","train.py","--drift-score","{drift_score}"]',
    ),
    required: 'the program to run, such as ["python","train.py"]',
    meaning:
      "JSON array: program and arguments, which may contain the placeholders `{reason}`, `{drift_score}`, `{buffer_size}`, `{decision_id}` and `{model}`.",
    secret: "hidden",
  },
  workingDirectory: {
    variable: "TRAINER_COMMAND_DIRECTORY",
    schema: z.string(),
    default: ".",
    meaning: "The program's working directory.",
  },
  environment: {
    variable: "TRAINER_COMMAND_ENVIRONMENT",
    schema: z
      .string()
      .regex(/^\w+(\s*,\s*\w+)*$/, "must be variable names separated by commas")
      .transform((text) => text.split(/\s*,\s*/)),
    default: "PATH,HOME,LANG",
    meaning: "The only environment variables that the program gets.",
  },
  limitSeconds: {
    variable: "TRAINER_COMMAND_LIMIT_SECONDS",
    schema: wholeNumber(1, 20 * 86_400),
    default: "86400",
    meaning: "How long the program may run.",
  },
} as const satisfies Settings;

/** How the program is run. */
interface CommandSettings {
  /** Program and arguments, with placeholders such as {drift_score}. */
  command: readonly string[];
  workingDirectory: string;
  /** The only environment variables that the program gets. */
  environment: Readonly<Record<string, string>>;
  limitMs: number;
}

/**
 * Runs a program on this machine. A dispatch puts it on the `training` queue, where it cannot get lost; it runs once, as a
 * child process of a worker, and never outlives that worker.
 */
export const commandTrainer: TrainerDefinition<typeof SETTINGS> = {
  name: "command",
  meaning: "Runs a program on the worker's machine.",
  settings: SETTINGS,
  create({ settings: { command, workingDirectory, environment: names, limitSeconds }, environment, redact }) {
    const passed = names.flatMap((name) =>
      environment[name] === undefined ? [] : [[name, environment[name]]],
    );
    return createCommandTrainer(
      {
        command,
        workingDirectory,
        environment: Object.fromEntries(passed),
        limitMs: limitSeconds * 1000,
      },
      redact,
    );
  },
};

function createCommandTrainer(settings: CommandSettings, redact: Redact): Trainer {
  return {
    name: "command",
    triggerWord: "trigger",
    renderRequest: (order) => renderCommand(settings, order),
    preflight: async () => [diagnose(settings)],
    remote: {
      traits: { followsById: false, reportsOutcomes: false, runsHere: true },
      request: async ({ key }) => ({ outcome: "accepted", training: trainingOf(key) }),
      // The request itself starts nothing, so it can always count as accepted.
      search: async ({ key }) => [trainingOf(key)],
      identify: (text) => ({ externalId: text }),
      poll: async () => ({ outcome: "not_pollable" }),
      run: async ({ request }, options) => {
        const command = CommandRequest.parse(request);
        return runCommand(command, settings, {
          ...options,
          say: (text) => options.say(redact(text)),
        });
      },
    },
  };
}

function trainingOf(key: string): Training {
  return { externalId: key, url: null, statusUrl: null };
}

/** Replaces the placeholders by the order's values; the values themselves are never expanded. */
function renderCommand({ command, workingDirectory }: CommandSettings, order: TrainingOrder): CommandRequest {
  const values: Record<string, string> = {
    reason: order.reason,
    drift_score: String(order.driftScore ?? Number.NaN),
    buffer_size: String(order.bufferSize),
    decision_id: order.runId,
    model: order.model,
  };
  return {
    kind: "command",
    command: command.map((part) =>
      part.replaceAll(/\{(\w+)\}/g, (whole, name: string) => values[name] ?? whole),
    ),
    workingDirectory: resolve(workingDirectory),
  };
}

function diagnose({ command, workingDirectory }: CommandSettings): Finding {
  const program = command[0] ?? "";
  const directory = statSync(workingDirectory, { throwIfNoEntry: false });
  if (!directory?.isDirectory())
    return fault(
      `command: directory ${workingDirectory} does not exist`,
      "Correct TRAINER_COMMAND_DIRECTORY",
    );
  if (program.includes("/") ? isExecutable(resolve(workingDirectory, program)) : findProgram([program]))
    return ok(`command: found ${program}`);
  return fault(`command: program ${program} not found`, "Install it, or correct TRAINER_COMMAND");
}

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

async function runCommand(
  { command, workingDirectory }: CommandRequest,
  { environment, limitMs }: CommandSettings,
  { signal, say }: RunOptions,
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
  for (const stream of [child.stdout, child.stderr]) forwardLines(stream, say);
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

const MAX_LINE_LENGTH = 2_000;

/** Forwards whole lines, and overlong lines in pieces. */
function forwardLines(stream: NodeJS.ReadableStream, say: (text: string) => void): void {
  let text = "";
  stream.setEncoding("utf8");
  stream.on("data", (chunk: string) => {
    text += chunk;
    const end = text.length > MAX_LINE_LENGTH ? text.length : text.lastIndexOf("\n") + 1;
    if (end === 0) return;
    say(text.slice(0, end).trimEnd());
    text = text.slice(end);
  });
  stream.on("end", () => {
    if (text !== "") say(text);
  });
}
