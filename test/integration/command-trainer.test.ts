import { once } from "node:events";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createRunId } from "../../queues/run-id.ts";
import type { AppOptions } from "../../src/app.ts";
import { parseConfig } from "../../src/config/config.ts";
import type { Dispatch } from "../../src/core/dispatch/dispatch.ts";
import { ServerAwayError } from "../../src/core/errors.ts";
import { listCommands, spawnScript, untilOutput } from "../support/process.ts";
import { addCheck, createWorld, until, withQueue, type World } from "../support/world.ts";

/** Differs between test runs, so that each finds only its own programs among all processes. */
const SECONDS = `4711.${String(process.pid).padStart(7, "0")}`;
const listSleeps = async () => (await listCommands()).filter((command) => command.includes(SECONDS));

let world: World;
let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(process.cwd(), ".data", "command-"));
  world = await createWorld({ settings: { MIN_BUFFER_SIZE: "0" } });
  await addCheck(world);
});
afterEach(async () => {
  await world.close();
  await rm(directory, { recursive: true });
});

function settingsFor(command: string[], more: Record<string, string> = {}): Record<string, string> {
  return {
    ...world.settings,
    TRAINER: "command",
    TRAINER_COMMAND: JSON.stringify(command),
    TRAINER_COMMAND_DIRECTORY: directory,
    PATH: process.env["PATH"] ?? "",
    ...more,
  };
}

function startApp(command: string[], more: Record<string, string> = {}) {
  return world.startApp({ ...parseConfig(settingsFor(command, more)), role: "worker" });
}

async function trainingLog(runId: string): Promise<string> {
  const { logs } = await withQueue(world, "training", (queue) => queue.getJobLogs(runId));
  return logs.join("\n");
}

const dispatch = async () => (await world.sql("SELECT * FROM retraining_dispatches ORDER BY id"))[0];
const followed = (runId: string) => world.client.waitForTraining(runId, { limitMs: 20_000 });

/** Makes the first update of a dispatch that matches fail. */
function failOnUpdate(matches: (dispatch: Dispatch) => boolean, createError: () => Error): AppOptions {
  let hasFailed = false;
  return {
    replaceParts: (parts) => ({
      ...parts,
      database: {
        ...parts.database,
        async updateDispatch(record, reduce) {
          if (!hasFailed && matches(record.dispatch)) {
            hasFailed = true;
            throw createError();
          }
          return parts.database.updateDispatch(record, reduce);
        },
      },
    }),
  };
}

describe("the command trainer", () => {
  it("runs the program with the figures as arguments, never through a shell, and keeps its output in the job's log", async () => {
    const script =
      "console.log(JSON.stringify(process.argv.slice(1)), process.cwd()); console.error('to stderr')";
    const strange = "$(touch hacked); `id` && \"quoted\" 'too' * ~ {unknown}\n-";
    await startApp([
      process.execPath,
      "-e",
      script,
      "--",
      "{reason}",
      "--drift={drift_score}",
      "{buffer_size}",
      "{decision_id}",
      strange,
    ]);
    const { runId, dispatch: sent } = await world.decide();
    expect(sent).toMatchObject({ trainer: "command", state: "sent" });
    expect(await followed(runId)).toMatchObject({ state: "succeeded", conclusion: "success" });
    const log = await trainingLog(runId);
    expect(log).toContain(JSON.stringify(["drift_detected", "--drift=0.0975", "0", runId, strange]));
    expect(log).toContain(directory);
    expect(log).toContain("to stderr");
    expect(await world.sql("SELECT FROM retraining_dispatches WHERE duration_seconds > 0")).toHaveLength(1);
  });

  it("uses the exit code as the conclusion", async () => {
    await startApp([process.execPath, "-e", "process.exit(3)"]);
    const { runId } = await world.decide();
    expect(await followed(runId)).toMatchObject({
      state: "failed",
      conclusion: "failure",
      error: "Exit code 3",
    });
  });

  it("says what is wrong if the program does not exist", async () => {
    await startApp(["no-such-program"]);
    const { runId } = await world.decide();
    expect((await followed(runId)).error).toContain("program not found. Correct TRAINER_COMMAND");
  });

  it("ends the program and its children after the time limit", async () => {
    await startApp(["/bin/sh", "-c", `sleep ${SECONDS} & sleep ${SECONDS}`], {
      TRAINER_COMMAND_LIMIT_SECONDS: "1",
    });
    const { runId } = await world.decide();
    expect(await followed(runId)).toMatchObject({ state: "failed", conclusion: "timed_out" });
    expect(await listSleeps()).toEqual([]);
  });

  it("gives the program only the variables that the settings name, and redacts secrets in its output", async () => {
    const password = new URL(world.config.databaseUrl).password;
    await writeFile(join(directory, "secret"), password);
    const script =
      "console.log(process.env.ALLOWED, process.env.DATABASE_URL, Object.keys(process.env).sort().join(), require('fs').readFileSync('secret', 'utf8'))";
    await startApp([process.execPath, "-e", script], {
      TRAINER_COMMAND_ENVIRONMENT: "PATH,ALLOWED,MISSING",
      ALLOWED: "yes",
    });
    const { runId } = await world.decide();
    await followed(runId);
    const log = await trainingLog(runId);
    expect(log).toContain("yes undefined ALLOWED,PATH,PWD [password of DATABASE_URL]");
    expect(log).not.toContain(password);
  });

  it("keeps a bounded log of a program that prints endlessly", async () => {
    await startApp([process.execPath, "-e", "for (let i = 0; i < 200000; i++) console.log('line ' + i)"]);
    const { runId } = await world.decide();
    await followed(runId);
    const log = await trainingLog(runId);
    expect(log.length).toBeLessThan(1_000_000);
    expect(log).toContain("line 199999");
  });

  it("counts as lost when its worker stops, and is not run again automatically", async () => {
    const app = await startApp(["/bin/sh", "-c", `echo run >> runs; sleep ${SECONDS} & sleep ${SECONDS}`]);
    const { runId } = await world.decide();
    await until("it runs", async () => (await listSleeps()).length > 0);
    const begun = Date.now();
    await app.stop();
    expect(Date.now() - begun).toBeLessThan(15_000);
    expect(await listSleeps()).toEqual([]);
    expect(await dispatch()).toMatchObject({ state: "failed", conclusion: "lost" });
    await startApp(["/bin/sh", "-c", "echo run >> runs"]);
    expect((await world.decide()).reason).toBe("retry_backoff");
    expect(await readFile(join(directory, "runs"), "utf8")).toBe("run\n");
    expect(await followed(runId)).toMatchObject({ state: "failed", conclusion: "lost" });
  });

  it("runs the program once if it is unknown whether it was started", async () => {
    const config = {
      ...parseConfig(settingsFor(["/bin/sh", "-c", "echo run >> runs"])),
      role: "worker" as const,
    };
    await world.startApp(
      config,
      failOnUpdate(
        ({ askedAt }) => askedAt !== null,
        () => new Error("The worker ended here"),
      ),
    );
    const { runId } = await world.decide();
    expect((await followed(runId)).state).toBe("succeeded");
    expect(await readFile(join(directory, "runs"), "utf8")).toBe("run\n");
  });

  it("does not count as lost if Postgres is away when the program ends", async () => {
    let failures = 0;
    const config = { ...parseConfig(settingsFor([process.execPath, "-e", ""])), role: "worker" as const };
    await world.startApp(
      config,
      failOnUpdate(
        ({ state }) => state === "running",
        () => {
          failures += 1;
          return new ServerAwayError("POSTGRES_AWAY", "Postgres is away");
        },
      ),
    );
    const { runId } = await world.decide();
    expect(await followed(runId)).toMatchObject({ state: "succeeded", conclusion: "success" });
    expect(failures).toBe(1);
  });

  // Another worker takes the job over once its lock has expired. That takes long, so that a short outage of Redis ends no training.
  it(
    "ends the program when its worker dies, and the next worker marks the training as lost",
    { timeout: 90_000 },
    async () => {
      const file = join(directory, "train.sh");
      await writeFile(file, `echo run >> runs\n(trap '' TERM HUP; sleep ${SECONDS}) &\nsleep ${SECONDS}\n`);
      const settings = { ...settingsFor(["/bin/sh", file]), ROLE: "worker", LOG_LEVEL: "info" };
      const worker = spawnScript("src/main.ts", [], settings);
      await untilOutput(worker, /Retrigger is ready/);
      const { runId } = await world.decide();
      await until("it runs", async () => (await listSleeps()).length === 2);
      worker.kill("SIGKILL");
      await once(worker, "exit");
      await until("the program has ended too", async () => (await listSleeps()).length === 0);
      await startApp(["/bin/sh", file]);
      await until("the loss is recorded", async () => (await dispatch())?.["state"] === "failed", 60_000);
      expect(await dispatch()).toMatchObject({
        conclusion: "lost",
        error: expect.stringContaining("The worker died") as string,
      });
      expect((await followed(runId)).alertsBackAt).not.toBeNull();
      expect(await readFile(join(directory, "runs"), "utf8")).toBe("run\n");
    },
  );
});

describe("eight long-running programs", () => {
  it("do not keep the other jobs of their queue waiting", async () => {
    const config = parseConfig(settingsFor(["sleep", "60"]));
    const own = config.models.get("default");
    if (!own) throw new Error("The settings name no model called default");
    const models = Array.from({ length: 8 }, (_, index) => `model-${index}`);
    await world.startApp({ ...config, role: "worker", models: new Map(models.map((model) => [model, own])) });
    await Promise.all(models.map((model) => world.decide({ model })));
    const countRunning = async () =>
      (await world.sql("SELECT FROM retraining_dispatches WHERE state = 'running'")).length;
    await until("all eight run", async () => (await countRunning()) === 8);
    await withQueue(world, "training", async (queue) => {
      const runId = createRunId();
      await queue.add("follow", { runId, model: "model-0" }, { jobId: runId });
      await until("it is done", async () => (await queue.getJobState(runId)) === "completed", 5_000);
    });
    expect(await countRunning()).toBe(8);
  });
});
