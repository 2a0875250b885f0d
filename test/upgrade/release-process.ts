import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { collectLogLines, type LogLine } from "../support/process.ts";
import { until } from "../support/world.ts";
import type { Version } from "./previous-version.ts";

/** A worker or a web process of one version. */
export interface ReleaseProcess {
  version: Version;
  role: "worker" | "web";
  lines: LogLine[];
  /** The address of its pages; null for a worker. */
  address: string | null;
  /** Sends SIGTERM and waits for the end. Returns what was wrong with it. */
  stop(): Promise<string[]>;
  kill(): void;
}

/** Long, because the rehearsal may be run on a busy machine. */
const START_LIMIT_MS = 180_000;
const STOP_LIMIT_MS = 30_000;

export async function startRelease(
  version: Version,
  role: "worker" | "web",
  settings: Record<string, string>,
): Promise<ReleaseProcess> {
  const child = spawn(process.execPath, [join(version.root, "dist/src/main.js")], {
    // Not the checkout, whose .env would be read.
    cwd: "/",
    env: { PATH: process.env["PATH"], HOME: process.env["HOME"], ...settings, ROLE: role, PORT: "0" },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const lines = collectLogLines(child.stdout);
  let problem = "";
  child.stderr?.on("data", (chunk: Buffer) => (problem += chunk.toString()));
  const name = `${role} of ${version.name}`;
  const ready = await untilReady();
  return {
    version,
    role,
    lines,
    address: (ready["address"] ?? null) as string | null,
    kill: () => void child.kill("SIGKILL"),
    async stop() {
      const faults = hasEnded(child) ? [`the ${name} ended by itself (${child.exitCode}): ${problem}`] : [];
      const ended = once(child, "exit");
      const timer = setTimeout(() => child.kill("SIGKILL"), STOP_LIMIT_MS);
      if (child.kill("SIGTERM")) await ended;
      clearTimeout(timer);
      if (child.signalCode === "SIGKILL") faults.push(`the ${name} did not end within 30 s of SIGTERM`);
      const errors = lines.filter(({ level }) => level >= 50);
      faults.push(...errors.map((line) => `the ${name} logged: ${JSON.stringify(line)}`));
      return faults;
    },
  };

  async function untilReady(): Promise<LogLine> {
    try {
      const find = async () => hasEnded(child) || lines.find(({ msg }) => msg === "Retrigger is ready");
      const found = await until(`the ${name} is ready`, find, START_LIMIT_MS);
      if (found !== true) return found;
      throw new Error(`The ${name} ended`);
    } catch (error) {
      child.kill("SIGKILL");
      const last = lines.slice(-3).map((line) => JSON.stringify(line));
      throw new Error([problem, ...last].join("\n"), { cause: error });
    }
  }
}

function hasEnded({ exitCode, signalCode }: ChildProcess): boolean {
  return exitCode !== null || signalCode !== null;
}

/** How many lines about runs a process has logged so far, which shows whether it works at all. */
export function countRunLines({ lines }: ReleaseProcess): number {
  return lines.filter((line) => "runId" in line).length;
}
