import { spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync, readFileSync, statSync } from "node:fs";
import { chmod, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Redis } from "ioredis";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { parse } from "yaml";
import { startPostgres } from "../../src/embedded/postgres.ts";
import { startRedis } from "../../src/embedded/redis.ts";
import {
  type EmbeddedServer,
  findFreePort,
  spawnServer,
  stopProcess,
  waitUntilUp,
} from "../../src/embedded/server-process.ts";
import { probeRedis } from "../../src/redis/connection.ts";
import { failureOf } from "../support/world.ts";

const isLinux = process.platform === "linux";
const isRoot = process.getuid?.() === 0;

let directory: string;
let server: EmbeddedServer | undefined;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "retrigger embedded-"));
  // As startEmbeddedServers makes it.
  await chmod(directory, 0o711);
});
afterEach(async () => {
  await server?.stop();
  server = undefined;
  await rm(directory, { recursive: true });
});

/** The processes with one of these texts in their command line, as Linux shows them. */
function findProcesses(text: string): { pid: string; command: string; environment: string; uid: number }[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .flatMap((pid) => {
      try {
        const command = readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ");
        if (!command.includes(text)) return [];
        const environment = readFileSync(`/proc/${pid}/environ`, "utf8").replaceAll("\0", "\n");
        const [, uid = ""] = /^Uid:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, "utf8")) ?? [];
        return [{ pid, command, environment, uid: Number(uid) }];
      } catch {
        return [];
      }
    });
}

const SECRET = "secret-of-the-environment-0815";

/** Starts a server while the environment holds a secret. */
async function startWithSecret(start: () => Promise<EmbeddedServer>): Promise<EmbeddedServer> {
  process.env["TRAINER_SECRET"] = SECRET;
  try {
    return await start();
  } finally {
    delete process.env["TRAINER_SECRET"];
  }
}

const modeOf = (path: string) => (statSync(path).mode & 0o777).toString(8);

describe("the embedded Redis", () => {
  beforeEach(async () => {
    server = await startWithSecret(() => startRedis(directory, () => {}));
  });

  it("requires a random password, which is on no command line and in no file that others can read", async () => {
    const { password, port } = new URL(server?.url ?? "");
    expect(password.length).toBeGreaterThanOrEqual(24);
    const stranger = new Redis(Number(port), "127.0.0.1", { lazyConnect: true, retryStrategy: () => null });
    stranger.on("error", () => {});
    expect(await failureOf(stranger.get("key"))).toContain("NOAUTH");
    stranger.disconnect();
    expect(modeOf(join(directory, "redis"))).toBe("700");
    const config = join(directory, "redis", "redis.conf");
    expect(modeOf(config)).toBe("600");
    expect(readFileSync(config, "utf8")).toContain(password);
    if (isLinux) expect(findProcesses(password)).toEqual([]);
  });

  it.runIf(isLinux)("gets no secret of the environment, and does not run as root", () => {
    const { port } = new URL(server?.url ?? "");
    const [redis, ...others] = findProcesses(`127.0.0.1:${port}`);
    expect(others).toEqual([]);
    // Redis overwrites what Linux shows of its environment, so the next test looks at that of any program.
    expect(redis?.environment).not.toContain(SECRET);
    if (isRoot) expect(redis?.uid).not.toBe(0);
  });

  it("keeps its settings: AOF, no eviction, the loopback address only", async () => {
    const redis = new Redis(server?.url ?? "");
    expect(await redis.config("GET", "appendonly")).toEqual(["appendonly", "yes"]);
    expect(await redis.config("GET", "maxmemory-policy")).toEqual(["maxmemory-policy", "noeviction"]);
    expect(await redis.config("GET", "bind")).toEqual(["bind", "127.0.0.1"]);
    expect(await redis.config("GET", "save")).toEqual(["save", ""]);
    redis.disconnect();
  });
});

describe("a program started as a server", () => {
  it("gets only what it needs of the environment", async () => {
    server = await startWithSecret(async () => {
      const { child, output } = spawnServer("env", [], { rootDrop: null, deathSignal: "SIGKILL" });
      await once(child, "close");
      const names = output()
        .split("\n")
        .map((line) => line.split("=")[0]);
      expect(names).toEqual(expect.arrayContaining(["PATH", "LC_ALL"]));
      expect(names).not.toContain("TRAINER_SECRET");
      expect(output()).not.toContain(SECRET);
      return { url: "", stop: async () => {} };
    });
  });
});

describe("the embedded Postgres", () => {
  it("gets no secret of the environment, runs not as root, and keeps its files to itself", async () => {
    server = await startWithSecret(() => startPostgres(directory, { isDurable: false }));
    const { password } = new URL(server.url);
    expect(modeOf(join(directory, "postgres"))).toBe("700");
    if (!isLinux) return;
    expect(findProcesses(password)).toEqual([]);
    const [postgres] = findProcesses(`-D ${join(directory, "postgres")}`);
    expect(postgres?.environment).toContain("PATH=");
    expect(postgres?.environment).not.toContain(SECRET);
    if (isRoot) expect(postgres?.uid).not.toBe(0);
  });
});

describe("the Redis of docker-compose.yml", () => {
  it("is started with the password, which its command line does not show", async () => {
    const { services } = parse(readFileSync("docker-compose.yml", "utf8")) as {
      services: Record<string, { command: string[]; environment: Record<string, string>; ports: string[] }>;
    };
    const { command = [], environment = {}, ports = [] } = services["redis"] ?? {};
    expect(environment["REDISCLI_AUTH"]).toMatch(/^\$\{REDIS_PASSWORD:\?/);
    expect(services["postgres"]?.environment["POSTGRES_PASSWORD"]).toMatch(/^\$\{POSTGRES_PASSWORD:\?/);
    for (const port of [...ports, ...(services["postgres"]?.ports ?? [])])
      expect(port).toMatch(/^127\.0\.0\.1:/);

    const port = await findFreePort();
    const password = "password-of-compose-0815";
    // Compose writes $$ for a dollar sign.
    const [program = "", ...args] = command.map((part) => part.replaceAll("$$", "$"));
    const own = ["--port", String(port), "--bind", "127.0.0.1", "--dir", directory];
    const child = spawn(program, [...args, ...own], {
      env: { PATH: process.env["PATH"], REDISCLI_AUTH: password },
      stdio: "ignore",
    });
    const url = `redis://:${password}@127.0.0.1:${port}`;
    server = { url, stop: () => stopProcess(child, "SIGTERM") };
    await waitUntilUp({ child, output: () => "" }, () =>
      probeRedis({ redisUrl: url }, (redis) => redis.ping()),
    );
    expect(
      await failureOf(probeRedis({ redisUrl: `redis://127.0.0.1:${port}` }, (redis) => redis.get("key"))),
    ).toContain("NOAUTH");
    expect(await probeRedis({ redisUrl: url }, (redis) => redis.config("GET", "maxmemory-policy"))).toContain(
      "noeviction",
    );
    if (isLinux) expect(findProcesses(password)).toEqual([]);
  });
});
