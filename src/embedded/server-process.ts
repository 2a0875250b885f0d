import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { statSync } from "node:fs";
import { chown, rm } from "node:fs/promises";
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

/** How root runs a server without being root: Postgres refuses it, and Redis does not need it. Null if this process does not run as root. */
type RootDrop =
  /** As the user nobody, who must own the program's files. */
  | "nobody"
  /** In a user namespace that maps root to nobody: the program can still enter directories open only to root, such as /root. */
  | "namespace"
  | null;

/** Chooses how to run a program whose files are in these directories. @throws PermanentError if no way works. */
export function chooseRootDrop(directories: string[]): RootDrop {
  if (process.getuid?.() !== 0) return null;
  const closed = directories.flatMap(ancestorsOf).filter((path) => (statSync(path).mode & 0o001) === 0);
  if (closed.length === 0) return "nobody";
  if (spawnSync("unshare", [...NAMESPACE_ARGS, "true"]).status === 0) return "namespace";
  throw new PermanentError(
    "ROOT",
    `Postgres and Redis are not run as root, and the user nobody cannot enter ${closed.join(", ")}. Move the checkout to a directory that all users can enter, or set DATABASE_URL and REDIS_URL to existing servers`,
  );
}

/** Gives a file or directory to the user that the program will run as. */
export async function handOver(path: string, rootDrop: RootDrop): Promise<void> {
  if (rootDrop === "nobody") await chown(path, NOBODY_ID, NOBODY_ID);
}

export interface SpawnOptions {
  rootDrop: RootDrop;
  /** Sent to the program if this process dies without having stopped it (Linux). */
  deathSignal: "SIGKILL" | "SIGQUIT";
}

/**
 * Starts a program in a separate process group, so that Ctrl-C reaches only this process, which then stops the program. Its
 * output is kept for the error message if it fails to start.
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
    env: { ...pickEnvironment(), LC_ALL: "C" },
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

/** What a server needs of our environment. The rest holds secrets, and other programs of the same user can read it there. */
const NEEDED = ["PATH", "HOME", "LANG", "TZ", "TMPDIR", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "SystemRoot"];

function pickEnvironment(): Record<string, string | undefined> {
  return Object.fromEntries(
    NEEDED.flatMap((name) => (name in process.env ? [[name, process.env[name]]] : [])),
  );
}

export interface ServerPlan extends SpawnOptions {
  program: string;
  args: string[];
  url: string;
  /** Rejects as long as the server does not accept connections. */
  isUp: () => Promise<unknown>;
  /** Makes the server stop in an orderly way. */
  stopSignal: NodeJS.Signals;
  /** Removed once the server has stopped. */
  dataDirectory: string;
}

/** Starts a server and waits until it is up. @throws Error with its output if it does not start. */
export async function startServer(plan: ServerPlan): Promise<EmbeddedServer> {
  const { program, args, url, isUp, stopSignal, dataDirectory } = plan;
  const server = spawnServer(program, args, plan);
  await waitUntilUp(server, isUp);
  return {
    url,
    async stop() {
      await stopProcess(server.child, stopSignal);
      await rm(dataDirectory, { recursive: true, force: true });
    },
  };
}

const NAMESPACE_ARGS = ["--user", `--map-user=${NOBODY_ID}`, `--map-group=${NOBODY_ID}`];

/** The programs of util-linux that start ours. Each replaces itself with the next one, so the pid stays the same. */
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

/** Runs a program to its end. @throws Error with its output if it fails. */
export async function runToEnd(program: string, args: string[], options: SpawnOptions): Promise<void> {
  const { child, output } = spawnServer(program, args, options);
  const code = await exitOf(child);
  if (code !== 0) throw new Error(`${program} failed (${code}): ${output()}`);
}

/** Sends a signal and waits for the process to exit; after ten seconds it sends SIGKILL. */
export async function stopProcess(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (hasEnded(child)) return;
  const timer = setTimeout(() => child.kill("SIGKILL"), STOP_LIMIT_MS);
  child.kill(signal);
  await exitOf(child);
  clearTimeout(timer);
}

/** Waits until `isUp` no longer throws. @throws Error with the server's output if it exits or takes more than 30 s. */
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
        throw new Error(`${child.spawnfile} exited while starting: ${output()}`, { cause: error });
      if (Date.now() > deadline)
        throw new Error(`${child.spawnfile} did not start within 30 s: ${output()}`, { cause: error });
      await new Promise((resolve) => setTimeout(resolve, 25));
    }
  }
}

/** A port of the loopback address that is currently free. */
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
