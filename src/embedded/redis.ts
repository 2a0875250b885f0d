import { execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { messageOf, PermanentError } from "../core/errors.ts";
import { findProgram } from "../process/find-program.ts";
import { probeRedis } from "../redis/connection.ts";
import {
  chooseRootDrop,
  type EmbeddedServer,
  findFreePort,
  handOver,
  startServer,
} from "./server-process.ts";

/**
 * Starts a private Redis in `directory`, on a free port of the loopback address, with a password, AOF and noeviction. If the program is
 * not on the PATH, the system's package manager installs it, after `say` has informed the user.
 */
export async function startRedis(directory: string, say: (line: string) => void): Promise<EmbeddedServer> {
  const program = findProgram(SERVER_NAMES) ?? (await installRedis(say));
  const dataDirectory = join(directory, "redis");
  const rootDrop = chooseRootDrop([directory, dirname(program)]);
  await mkdir(dataDirectory, { recursive: true, mode: 0o700 });
  const port = await findFreePort();
  const password = randomBytes(12).toString("hex");
  const settings = {
    port: String(port),
    bind: "127.0.0.1",
    dir: dataDirectory,
    requirepass: password,
    appendonly: "yes",
    save: "",
    "maxmemory-policy": "noeviction",
  };
  // Every user of the machine can read a command line.
  const file = join(dataDirectory, "redis.conf");
  const lines = Object.entries(settings).map(([name, value]) => `${name} ${JSON.stringify(value)}\n`);
  await writeFile(file, lines.join(""), { mode: 0o600 });
  for (const path of [dataDirectory, file]) await handOver(path, rootDrop);
  const url = `redis://:${password}@127.0.0.1:${port}`;
  return startServer({
    program,
    args: [file],
    url,
    dataDirectory,
    isUp: () => probeRedis({ redisUrl: url }, (redis) => redis.ping()),
    stopSignal: "SIGTERM",
    rootDrop,
    deathSignal: "SIGKILL",
  });
}

const SERVER_NAMES = ["redis-server", "valkey-server"];

const PACKAGE_MANAGERS = [
  { program: "apt-get", refresh: ["update", "-qq"], install: ["install", "-y", "-qq", "redis-server"] },
  { program: "dnf", refresh: null, install: ["install", "-y", "-q", "redis"] },
  { program: "apk", refresh: null, install: ["add", "--quiet", "redis"] },
  { program: "brew", refresh: null, install: ["install", "--quiet", "redis"] },
] as const;

async function installRedis(say: (line: string) => void): Promise<string> {
  const manager = PACKAGE_MANAGERS.find(({ program }) => findProgram([program]));
  if (!manager) {
    throw new PermanentError(
      "NO_REDIS",
      "redis-server is not on the PATH. Install Redis 6.2 or later, or set REDIS_URL to an existing server",
    );
  }
  const { program, refresh, install } = manager;
  const shown = `${program} ${install.join(" ")}`;
  const prefix = program === "brew" || process.getuid?.() === 0 ? [] : await sudoPrefix();
  if (prefix === null) {
    throw new PermanentError("NO_REDIS", `redis-server is not on the PATH. Install it with: sudo ${shown}`);
  }
  say(`redis-server is not installed: installing it with ${[...prefix, shown].join(" ")}`);
  const run = (args: readonly string[]) => runQuietly([...prefix, program, ...args]);
  try {
    // A new machine has no package lists yet. If they exist, downloading them again is avoided.
    await run(install).catch(async (error: unknown) => {
      if (!refresh) throw error;
      await run(refresh);
      await run(install);
    });
  } catch (error) {
    throw new PermanentError(
      "NO_REDIS",
      `Could not install redis-server: ${messageOf(error)}. Install it manually, or set REDIS_URL to an existing server`,
      { cause: error },
    );
  }
  // On systems with systemd, Debian's package also starts a server. Only the program is needed.
  if (program === "apt-get" && existsSync("/run/systemd/system")) {
    await runQuietly([...prefix, "systemctl", "disable", "--now", "redis-server"]).catch(() => {});
  }
  const installed = findProgram(SERVER_NAMES);
  if (!installed)
    throw new PermanentError("NO_REDIS", `${shown} succeeded, but redis-server is still not on the PATH`);
  return installed;
}

/** ["sudo", "-n"] if sudo needs no password; null if sudo is missing or needs one. */
async function sudoPrefix(): Promise<string[] | null> {
  const isAllowed = await runQuietly(["sudo", "-n", "true"]).then(
    () => true,
    () => false,
  );
  return isAllowed ? ["sudo", "-n"] : null;
}

async function runQuietly([program = "", ...args]: string[]): Promise<void> {
  await promisify(execFile)(program, args, {
    // RUNLEVEL=1 keeps the package from starting a server on systems without systemd.
    env: { ...process.env, DEBIAN_FRONTEND: "noninteractive", RUNLEVEL: "1" },
    maxBuffer: 64 * 1024 * 1024,
  });
}
