import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { statSync } from "node:fs";
import { chown } from "node:fs/promises";
import { type AddressInfo, createServer } from "node:net";
import { dirname } from "node:path";
import { PermanentError } from "../core/errors.ts";
import { findProgram } from "../process/find-program.ts";

/** A server that this process started and will stop. */
export interface EmbeddedServer {
  url: string;
  stop(): Promise<void>;
}

const NOBODY_ID = 65_534;
const STOP_LIMIT_MS = 10_000;

/** How a program that refuses to run as root is run by root; null where this process is not root. */
type RootDrop =
  /** As the user nobody; the program's files must be nobody's. */
  | "nobody"
  /** In a user namespace in which root is called nobody: it may enter what only root may, such as /root. */
  | "namespace"
  | null;

/** Chooses the way for files in these directories. @throws PermanentError where there is none. */
export function chooseRootDrop(directories: string[]): RootDrop {
  if (process.getuid?.() !== 0) return null;
  const closed = directories.flatMap(ancestorsOf).filter((path) => (statSync(path).mode & 0o001) === 0);
  if (closed.length === 0) return "nobody";
  if (spawnSync("unshare", [...NAMESPACE_ARGS, "true"]).status === 0) return "namespace";
  throw new PermanentError(
    "ROOT",
    `Postgres refuses to run as root, and the user nobody may not enter ${closed.join(", ")}. Use a checkout in a directory that others may enter, or set DATABASE_URL to a server of your own`,
  );
}

/** Gives a file or directory to the user as whom the program will run. */
export async function handOver(path: string, rootDrop: RootDrop): Promise<void> {
  if (rootDrop === "nobody") await chown(path, NOBODY_ID, NOBODY_ID);
}

export interface SpawnOptions {
  rootDrop: RootDrop;
  /** Sent to the program when this process dies without having stopped it (Linux). */
  deathSignal: "SIGKILL" | "SIGQUIT";
}

/**
 * Starts a program in a process group of its own, so that Ctrl-C reaches it through us and not beside us. What it
 * prints is kept, for the message where it fails to start.
 */
export function spawnServer(
  program: string,
  args: string[],
  options: SpawnOptions,
): { child: ChildProcess; output: () => string } {
  const [command = program, ...commandArgs] = [...wrap(options), program, ...args];
  const child = spawn(command, commandArgs, {
    detached: true,
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, LC_ALL: "C" },
  });
  let output = "";
  const keep = (chunk: Buffer): void => {
    output = (output + chunk.toString()).slice(-4_000);
  };
  child.stdout?.on("data", keep);
  child.stderr?.on("data", keep);
  child.on("error", (error) => keep(Buffer.from(error.message)));
  return { child, output: () => output.trim() };
}

const NAMESPACE_ARGS = ["--user", `--map-user=${NOBODY_ID}`, `--map-group=${NOBODY_ID}`];

/** The programs of util-linux that come before ours; each replaces itself by the next, so that the pid stays. */
function wrap({ rootDrop, deathSignal }: SpawnOptions): string[] {
  const setpriv = findProgram(["setpriv"]);
  return [
    ...(rootDrop === "namespace" ? ["unshare", ...NAMESPACE_ARGS] : []),
    ...(setpriv ? [setpriv, "--pdeathsig", deathSignal.slice("SIG".length)] : []),
    ...(setpriv && rootDrop === "nobody"
      ? [`--reuid=${NOBODY_ID}`, `--regid=${NOBODY_ID}`, "--clear-groups"]
      : []),
  ];
}

/** Runs a program to its end. @throws Error with what it printed, where it fails. */
export async function runToEnd(program: string, args: string[], options: SpawnOptions): Promise<void> {
  const { child, output } = spawnServer(program, args, options);
  const code = await exitOf(child);
  if (code !== 0) throw new Error(`${program} failed (${code}): ${output()}`);
}

/** Sends a signal and waits for the end; after ten seconds, SIGKILL. */
export async function stopProcess(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (hasEnded(child)) return;
  const timer = setTimeout(() => child.kill("SIGKILL"), STOP_LIMIT_MS);
  child.kill(signal);
  await exitOf(child);
  clearTimeout(timer);
}

/** Waits until `isUp` does not throw. @throws Error with what the server printed, where it ends or takes 30 s. */
export async function waitUntilUp(
  { child, output }: ReturnType<typeof spawnServer>,
  isUp: () => Promise<unknown>,
): Promise<void> {
  const deadline = Date.now() + 30_000;
  for (;;) {
    try {
      await isUp();
      return;
    } catch (error) {
      if (hasEnded(child))
        throw new Error(`${child.spawnfile} ended while starting: ${output()}`, { cause: error });
      if (Date.now() > deadline)
        throw new Error(`${child.spawnfile} did not start in 30 s: ${output()}`, { cause: error });
      await new Promise((resolve) => setTimeout(resolve, 25));
    }
  }
}

/** A port of the loopback address that is free now. */
export async function findFreePort(): Promise<number> {
  return listenOnce(0, "127.0.0.1");
}

export async function isPortFree(port: number, host: string): Promise<boolean> {
  return listenOnce(port, host).then(
    () => true,
    () => false,
  );
}

async function listenOnce(port: number, host: string): Promise<number> {
  const server = createServer().listen(port, host);
  await once(server, "listening");
  const address = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return address.port;
}

function hasEnded(child: ChildProcess): boolean {
  return child.pid === undefined || child.exitCode !== null || child.signalCode !== null;
}

async function exitOf(child: ChildProcess): Promise<number | null> {
  if (!hasEnded(child)) await once(child, "exit");
  return child.exitCode;
}

function ancestorsOf(path: string): string[] {
  const parent = dirname(path);
  return parent === path ? [path] : [path, ...ancestorsOf(parent)];
}
