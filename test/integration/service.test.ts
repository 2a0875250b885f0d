import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { chmod, mkdtemp, rm } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { startRedis } from "../../src/embedded/redis.ts";
import { listCommandsWith, runScript, untilOutput } from "../support/process.ts";
import { startService } from "../support/service-process.ts";
import { addCheck, createWorld, holdTable, until, type World } from "../support/world.ts";
import { NO_REDIS, redisAt } from "../support/redis-settings.ts";

let world: World;
const children: ChildProcess[] = [];
afterEach(async () => {
  for (const child of children.splice(0)) child.kill("SIGKILL");
  await world.close();
});

function start(settings: Record<string, string> = {}) {
  const service = startService(world, settings);
  children.push(service.child);
  return service;
}

async function createBuiltWorld(): Promise<void> {
  world = await createWorld({ settings: { MIN_BUFFER_SIZE: "0", LOCK_TTL_MS: "5000" } });
  await addCheck(world);
}

// The first one compiles the program.
describe("the service", { timeout: 240_000 }, () => {
  it("decides in separate web and worker processes, logs what each stage took, and drains on SIGTERM", async () => {
    await createBuiltWorld();
    const worker = start({ ROLE: "worker" });
    const web = start({ ROLE: "web" });
    const ready = await web.untilLogged("Retrigger is ready");
    await worker.untilLogged("Retrigger is ready");
    expect((await fetch(`${String(ready["address"])}/readyz`)).status).toBe(200);

    const { runId } = await world.decide();
    const line = await worker.untilLogged("decided");
    expect(line).toMatchObject({ runId, model: "default", decision: "trigger_mock" });
    expect(Object.keys(line["stagesMs"] ?? {})).toEqual(["gather", "evaluate", "act", "summarize"]);

    const hold = await holdTable(world, "ratings_buffer");
    const deciding = world.decide();
    await hold.untilSessionWaits();
    worker.child.kill("SIGTERM");
    await worker.untilLogged("stopping");
    await hold.release();
    expect(await once(worker.child, "exit")).toEqual([0, null]);
    web.child.kill("SIGTERM");
    expect(await once(web.child, "exit")).toEqual([0, null]);
    start({ ROLE: "worker" });
    expect((await deciding).reason).toBe("already_acted_on");
  });

  it("resumes after kill -9 in the middle of a stage and a restart, with one decision", async () => {
    await createBuiltWorld();
    const first = start({ ROLE: "worker" });
    await first.untilLogged("Retrigger is ready");
    const hold = await holdTable(world, "ratings_buffer");
    const deciding = world.decide();
    await hold.untilSessionWaits();
    first.child.kill("SIGKILL");
    await once(first.child, "exit");
    await hold.release();
    start({ ROLE: "worker" });
    expect((await deciding).decision).toBe("trigger_mock");
    expect(await world.sql("SELECT 1 FROM retraining_decisions")).toHaveLength(1);
  });

  it("ends on SIGTERM to npm itself, even while Redis is away", async () => {
    await createBuiltWorld();
    const directory = await mkdtemp(join(process.cwd(), ".data", "redis-"));
    await chmod(directory, 0o711);
    const redis = await startRedis(directory, () => {});
    const child = spawn("npm", ["start"], {
      env: {
        PATH: process.env["PATH"],
        HOME: process.env["HOME"],
        NODE_ENV: "test",
        ...world.settings,
        LOG_LEVEL: "info",
        ...redisAt(redis.url),
      },
      stdio: ["ignore", "pipe", "ignore"],
    });
    children.push(child);
    await untilOutput(child, /Retrigger is ready/);
    // Only processes of this test have its prefix.
    const findOurs = () => listCommandsWith(`REDIS_PREFIX=${world.config.redisPrefix}`);
    expect(await findOurs()).toContainEqual(expect.stringContaining("dist/src/main.js"));
    await redis.stop();
    await rm(directory, { recursive: true });
    child.kill("SIGTERM");
    await once(child, "exit");
    await until("the service ended with npm", async () => (await findOurs()).length === 0);
  });

  it("waits for servers that are not up yet, and logs one clear line", async () => {
    await createBuiltWorld();
    const { untilLogged, child } = start(NO_REDIS);
    const line = await untilLogged("waiting for Redis");
    expect(line["msg"]).toContain("Cannot reach Redis at 127.0.0.1:1");
    expect(line["msg"]).toContain("docker compose up -d redis");
    child.kill("SIGTERM");
    const [code] = (await once(child, "exit")) as [number];
    expect(code).toBe(0);
  });

  it.each([
    [
      "a wrong password",
      (url: URL) => (url.password = "wrong"),
      "Check the user and password in DATABASE_URL",
    ],
    ["a missing database", (url: URL) => (url.pathname = "/nowhere"), "Create it, or correct DATABASE_URL"],
  ])("ends with exit code 1 and the remedy for %s", async (_, damage, remedy) => {
    await createBuiltWorld();
    const url = new URL(world.config.databaseUrl);
    damage(url);
    const { code, stderr } = await runScript("src/main.ts", [], {
      ...world.settings,
      DATABASE_URL: url.href,
    });
    expect(code).toBe(1);
    expect(stderr).toContain(remedy);
  });

  it("exits with code 1 before anything starts, and prints every fault of the settings", async () => {
    await createBuiltWorld();
    const { code, stderr } = await runScript("src/main.ts", [], {
      ...world.settings,
      PORT: "many",
      MIN_BUFFER_SIZE: "50k",
    });
    expect(code).toBe(1);
    expect(stderr).toContain('PORT is "many"');
    expect(stderr).toContain('MIN_BUFFER_SIZE is "50k"');
  });
});
