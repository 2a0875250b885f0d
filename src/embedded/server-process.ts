import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { createServer, type AddressInfo } from "node:net";

/** A server that this process started and will stop. */
export interface EmbeddedServer {
  url: string;
  stop(): Promise<void>;
}

const SETPRIV = ["/usr/bin/setpriv", "/bin/setpriv"].find((path) => existsSync(path));
const NOBODY_ID = 65_534;
const STOP_LIMIT_MS = 10_000;

/** Whether this process is root on a system that has such a thing. */
export const isRoot = process.getuid?.() === 0;

/** The user as whom servers run that refuse to run as root. */
export const unprivilegedId = NOBODY_ID;

export interface SpawnOptions {
  /** For a program that refuses to run as root: run it as nobody where this process is root. */
  unprivileged?: boolean;
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
  { unprivileged = false, deathSignal }: SpawnOptions,
): { child: ChildProcess; output: () => string } {
  const dropsRoot = unprivileged && isRoot;
  const [command, commandArgs] = SETPRIV
    ? [SETPRIV, [...setprivArgs(dropsRoot, deathSignal), program, ...args]]
    : [program, args];
  const child = spawn(command, commandArgs, {
    detached: true,
    stdio: ["ignore", "pipe", "pipe"],
    ...(dropsRoot && !SETPRIV ? { uid: NOBODY_ID, gid: NOBODY_ID } : {}),
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

function setprivArgs(dropsRoot: boolean, deathSignal: SpawnOptions["deathSignal"]): string[] {
  return [
    ...(dropsRoot
      ? [
          `--reuid=${NOBODY_ID}`,
          `--regid=${NOBODY_ID}`,
          "--clear-groups",
          // The checkout may lie below a directory that only root may enter, /root or one of mktemp's.
          "--inh-caps=+dac_override",
          "--ambient-caps=+dac_override",
        ]
      : []),
    "--pdeathsig",
    deathSignal.slice("SIG".length),
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
