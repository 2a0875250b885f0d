import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { messageOf, PermanentError } from "../core/errors.ts";
import { findProgram } from "../process/find-program.ts";
import { probeRedis } from "../redis/connection.ts";
import {
  type EmbeddedServer,
  findFreePort,
  spawnServer,
  stopProcess,
  waitUntilUp,
} from "./server-process.ts";

/**
 * Starts a private Redis in `directory`, on a free port of the loopback address, with AOF and noeviction. The program is
 * found on the PATH, or else installed by the system's package manager; `say` tells the user so.
 */
export async function startRedis(directory: string, say: (line: string) => void): Promise<EmbeddedServer> {
  const program = findProgram(SERVER_NAMES) ?? (await installRedis(say));
  const dataDirectory = join(directory, "redis");
  await mkdir(dataDirectory, { recursive: true });
  const port = await findFreePort();
  const settings = {
    port,
    bind: "127.0.0.1",
    dir: dataDirectory,
    appendonly: "yes",
    save: "",
    "maxmemory-policy": "noeviction",
  };
  const args = Object.entries(settings).flatMap(([name, value]) => [`--${name}`, String(value)]);
  const server = spawnServer(program, args, { rootDrop: null, deathSignal: "SIGKILL" });
  const url = `redis://127.0.0.1:${port}`;
  await waitUntilUp(server, () => probeRedis(url, (redis) => redis.ping()));
  return {
    url,
    async stop() {
      await stopProcess(server.child, "SIGTERM");
      await rm(dataDirectory, { recursive: true, force: true });
    },
  };
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
      "There is no redis-server on the PATH. Install Redis 6.2 or later, or set REDIS_URL to a server of your own",
    );
  }
  const { program, refresh, install } = manager;
  const shown = `${program} ${install.join(" ")}`;
  const prefix = program === "brew" || process.getuid?.() === 0 ? [] : await sudoPrefix();
  if (prefix === null) {
    throw new PermanentError(
      "NO_REDIS",
      `There is no redis-server on the PATH. Install it with: sudo ${shown}`,
    );
  }
  say(`redis-server is not installed: installing it with ${[...prefix, shown].join(" ")}`);
  const run = (args: readonly string[]) => runQuietly([...prefix, program, ...args]);
  try {
    // A new machine has no list of packages; one that has is spared the download.
    await run(install).catch(async (error: unknown) => {
      if (!refresh) throw error;
      await run(refresh);
      await run(install);
    });
  } catch (error) {
    throw new PermanentError(
      "NO_REDIS",
      `Could not install redis-server: ${messageOf(error)}. Install it by hand, or set REDIS_URL`,
      { cause: error },
    );
  }
  // Debian's package starts a server of its own where systemd runs; only the program was wanted.
  if (program === "apt-get" && existsSync("/run/systemd/system")) {
    await runQuietly([...prefix, "systemctl", "disable", "--now", "redis-server"]).catch(() => {});
  }
  const installed = findProgram(SERVER_NAMES);
  if (!installed)
    throw new PermanentError("NO_REDIS", `${shown} ran, but there is no redis-server on the PATH`);
  return installed;
}

/** ["sudo", "-n"] where sudo asks for no password; null where it is missing or asks. */
async function sudoPrefix(): Promise<string[] | null> {
  const asked = await runQuietly(["sudo", "-n", "true"]).then(
    () => true,
    () => false,
  );
  return asked ? ["sudo", "-n"] : null;
}

async function runQuietly([program = "", ...args]: string[]): Promise<void> {
  await promisify(execFile)(program, args, {
    // RUNLEVEL=1 keeps the package from starting a server where there is no systemd.
    env: { ...process.env, DEBIAN_FRONTEND: "noninteractive", RUNLEVEL: "1" },
    maxBuffer: 64 * 1024 * 1024,
  });
}
