import type { ChildProcess } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { INBOX_JOBS } from "../../queues/names.ts";
import type { App, AppOptions } from "../../src/app.ts";
import { type Config, parseConfig } from "../../src/config/config.ts";
import { type Receiver, startReceiver } from "../support/receiver.ts";
import { runScript } from "../support/process.ts";
import { startService } from "../support/service-process.ts";
import { addCheck, createWorld, holdTable, until, withQueue, type World } from "../support/world.ts";

const SECRET = "a secret of both sides";

let world: World;
let receiver: Receiver;
let directory: string;
let path: string;
const children: ChildProcess[] = [];
beforeEach(async () => {
  receiver = await startReceiver();
  directory = await mkdtemp(join(process.cwd(), ".data", "reload-"));
  path = join(directory, "retrigger.yaml");
  await writeModels({ films: {}, books: {} });
  world = await createWorld({
    settings: { MIN_BUFFER_SIZE: "0", RETRIGGER_CONFIG: path, BOOKS_SECRET: SECRET },
  });
  await addCheck(world);
});
afterEach(async () => {
  for (const child of children.splice(0)) child.kill("SIGKILL");
  await world.close();
  await receiver.close();
  await rm(directory, { recursive: true });
});

/** JSON is YAML. */
const writeModels = (models: object): Promise<void> => writeFile(path, JSON.stringify({ models }));
const readConfig = (): Config => parseConfig(world.settings);

const COOLDOWN = { policy: { guards: { alreadyActedOn: "off", cooldown: "7d" } } };
const MORNING = { schedule: "0 6 * * *", ...COOLDOWN };

/** Trains with the receiver, whose status URL says how a training ended. */
const webhook = (): object => ({
  trainer: { webhook: { url: `${receiver.url}/train`, secret: "BOOKS_SECRET", outcome: "status_url" } },
});

function start(settings: Record<string, string> = {}) {
  const service = startService(world, settings);
  children.push(service.child);
  return service;
}

/** Starts the service in this process, with polls in quick succession. */
async function startHere(options: AppOptions = {}): Promise<App> {
  const config = readConfig();
  return world.startApp(
    { ...config, role: "all", timing: { ...config.timing, pollMs: 200 } },
    { readConfig, ...options },
  );
}

const listSchedules = async (): Promise<string[]> =>
  (await world.client.inbox.getJobSchedulers()).map(({ key, pattern }) => `${key} ${pattern}`).toSorted();
const listFollowUps = async (): Promise<string[]> =>
  (await world.client.inbox.getJobs(["delayed"]))
    .filter(({ name }) => name === INBOX_JOBS.nextLook)
    .map(({ data }) => String(data.model))
    .toSorted();
const listDecisions = (model: string) =>
  world.sql("SELECT cause, decision, reason FROM retraining_decisions WHERE model = $1 ORDER BY id", [model]);
const stateOf = async (model: string) =>
  (
    await world.sql(
      `SELECT state FROM retraining_dispatches JOIN retraining_decisions ON retraining_decisions.id = decision_id
       WHERE model = $1 ORDER BY decision_id DESC LIMIT 1`,
      [model],
    )
  )[0]?.["state"];

/** Decides twice, so that the second decision waits for the end of the cooldown. */
async function waitForCooldown(model: string): Promise<void> {
  await world.decide({ model });
  expect(await world.decide({ model })).toMatchObject({ reason: "cooldown" });
}

describe("SIGHUP", { timeout: 90_000 }, () => {
  it("adds, changes and removes models: their schedules and follow-ups too", async () => {
    await writeModels({ films: MORNING, books: MORNING, same: MORNING });
    const service = start({ ROLE: "worker" });
    await service.untilLogged("Retrigger is ready");
    for (const model of ["films", "books", "same"]) await waitForCooldown(model);
    expect(await listFollowUps()).toEqual(["books", "films", "same"]);

    const evening = {
      schedule: "0 18 * * *",
      policy: { guards: { alreadyActedOn: "off", cooldown: "14d" } },
    };
    await writeModels({ films: evening, same: MORNING, games: evening });
    service.child.kill("SIGHUP");
    expect(await service.untilLogged("the settings were reloaded")).toMatchObject({
      added: 1,
      changed: 1,
      removed: 1,
    });
    await until("the films are judged by the new policy", async () => {
      const decisions = await listDecisions("films");
      return decisions.length === 3 && decisions[2]?.["cause"] === "followup";
    });
    expect(await listSchedules()).toEqual([
      "schedule-films 0 18 * * *",
      "schedule-games 0 18 * * *",
      "schedule-same 0 6 * * *",
    ]);
    await until("the follow-up of the books is gone", async () => {
      const models = await listFollowUps();
      return models.join() === "films,same";
    });
    expect(await listDecisions("same")).toHaveLength(2);
    expect((await world.decide({ model: "games" })).decision).toBe("trigger_mock");
    const jobId = await world.client.send(INBOX_JOBS.event, { runId: "late", model: "books" });
    const reason = await until(
      "it failed",
      async () => (await world.client.inbox.getJob(jobId))?.failedReason,
    );
    expect(reason).toContain('model: "books" is not in the settings');
  });

  it("keeps the old settings and logs every fault if the file is faulty", async () => {
    const service = start({ ROLE: "worker" });
    await service.untilLogged("Retrigger is ready");
    await writeModels({ films: { schedul: "off" }, games: { spread: "often" } });
    service.child.kill("SIGHUP");
    const { level, faults } = await service.untilLogged("the settings were not reloaded");
    expect(level).toBe(50);
    expect(faults).toEqual([
      expect.stringContaining("models.films.schedul"),
      expect.stringContaining("models.games.spread"),
    ]);
    expect((await world.decide({ model: "books" })).decision).toBe("trigger_mock");
  });

  it("says that there is nothing to reload without a file", async () => {
    const service = start({ ROLE: "worker", RETRIGGER_CONFIG: "" });
    await service.untilLogged("Retrigger is ready");
    service.child.kill("SIGHUP");
    const { faults } = await service.untilLogged("the settings were not reloaded");
    expect(faults).toEqual([expect.stringContaining("RETRIGGER_CONFIG names no file")]);
    expect((await world.decide()).decision).toBe("trigger_mock");
  });
});

describe("a start", () => {
  it("re-evaluates the models whose policy changed meanwhile, and no others", async () => {
    await writeModels({ films: COOLDOWN, books: COOLDOWN });
    await startHere();
    for (const model of ["films", "books"]) await waitForCooldown(model);
    await world.stopApps();
    await world.sql("UPDATE retraining_decisions SET taken_at = taken_at - interval '1 minute'");
    await writeModels({
      films: { policy: { guards: { alreadyActedOn: "off", cooldown: "1s" } } },
      books: COOLDOWN,
    });
    await startHere();
    await until("the films are judged by the new policy", async () => {
      const decisions = await listDecisions("films");
      return decisions.length === 3 && decisions[2]?.["decision"] === "trigger_mock";
    });
    expect(await listDecisions("books")).toHaveLength(2);
  });
});

describe("config reload", { timeout: 90_000 }, () => {
  const reload = (settings: Record<string, string> = {}) =>
    runScript("src/cli.ts", ["config", "reload"], { ...world.settings, ...settings });

  it("makes every service read the file again, and prints what each said", async () => {
    const services = [start({ ROLE: "worker" }), start({ ROLE: "web" })];
    for (const service of services) await service.untilLogged("Retrigger is ready");
    await writeModels({ films: {}, games: {} });
    const { code, stdout, stderr } = await reload();
    expect(stderr).toBe("");
    expect(stdout.trim().split("\n").toSorted()).toEqual([
      expect.stringMatching(/^✅ web on .*, process \d+: models added: 1, changed: 0, removed: 1$/),
      expect.stringMatching(/^✅ worker on .*, process \d+: models added: 1, changed: 0, removed: 1$/),
    ]);
    expect(code).toBe(0);
    expect((await world.decide({ model: "games" })).decision).toBe("trigger_mock");
  });

  it("sends nothing if the file is faulty, and fails if a service refuses it", async () => {
    const service = start({ ROLE: "worker" });
    await service.untilLogged("Retrigger is ready");
    await writeModels({ films: { schedul: "off" } });
    const faulty = await reload();
    expect(faulty.code).toBe(1);
    expect(faulty.stdout + faulty.stderr).toContain("models.films.schedul");
    expect(service.lines.filter(({ level }) => level >= 50)).toEqual([]);

    const other = join(directory, "other.yaml");
    await writeFile(other, "models: { films: {} }");
    const refused = await reload({ RETRIGGER_CONFIG: other });
    expect(refused.code).toBe(1);
    expect(refused.stdout).toMatch(
      /❌ worker on .*: refused, the old settings stay in force: .*models\.films\.schedul/,
    );
  });

  it("fails if no service runs", async () => {
    const { code, stdout } = await reload();
    expect(code).toBe(1);
    expect(stdout).toContain("No service runs on");
  });
});

describe("a training that is open while its model", () => {
  /** Starts a training of the books, and returns what ends it. */
  async function startTraining(options?: AppOptions): Promise<{ app: App; end: () => void }> {
    await writeModels({ films: {}, books: webhook() });
    let status: object = { status: "in_progress" };
    receiver.respond = ({ method }, response) => {
      const accepted = { id: "job-7", status_url: `${receiver.url}/jobs/7` };
      response.setHeader("content-type", "application/json");
      response.end(JSON.stringify(method === "POST" ? accepted : status));
    };
    const app = await startHere(options);
    await world.decide({ model: "books" });
    await until("the training runs", async () => (await stateOf("books")) === "running");
    return { app, end: () => (status = { status: "completed", conclusion: "success" }) };
  }

  it("is removed is followed to its end, with the trainer that it had", async () => {
    const { app, end } = await startTraining();
    await writeModels({ films: {} });
    expect(await app.reload()).toMatchObject({ outcome: "applied" });
    const before = receiver.received.length;
    await until("it is still polled", async () => receiver.received.length > before + 1);
    end();
    await until("its end is recorded", async () => (await stateOf("books")) === "succeeded");
    expect(receiver.received.filter(({ method }) => method === "POST")).toHaveLength(1);
  });

  it("gets another trainer is followed to its end, with the trainer that it had", async () => {
    const { app, end } = await startTraining();
    await writeModels({ films: {}, books: { trainer: "mock" } });
    await app.reload();
    end();
    await until("its end is recorded", async () => (await stateOf("books")) === "succeeded");
    await addCheck(world, { age: "1 minute" });
    expect((await world.decide({ model: "books" })).decision).toBe("trigger_mock");
  });

  it("is removed is not requested if the receiver had not accepted it yet", async () => {
    await writeModels({ films: {}, books: webhook() });
    receiver.respond = (_, response) => response.writeHead(429, { "retry-after": "2" }).end();
    const app = await startHere();
    await world.client.send(INBOX_JOBS.event, { runId: "drift", model: "books" });
    await until("it was requested", async () => receiver.received.length === 1);
    await until("it waits", () =>
      withQueue(world, "act", async (queue) => (await queue.getDelayedCount()) === 1),
    );
    await writeModels({ films: {} });
    await app.reload();
    await until("it is cancelled", async () => (await stateOf("books")) === "cancelled");
    expect(receiver.received).toHaveLength(1);
    expect(await withQueue(world, "act", (queue) => queue.getFailedCount())).toBe(0);
  });
});

describe("a run that is under way while its model is removed", () => {
  it("ends with the policy that it had, and its follow-up is left out", async () => {
    const app = await startHere();
    const hold = await holdTable(world, "ratings_buffer");
    const deciding = world.decide({ model: "books" });
    await hold.untilSessionWaits();
    // Folds into a follow-up of the run.
    const folded = await world.client.send(INBOX_JOBS.event, { runId: "second", model: "books" });
    await until("it is folded", async () => (await world.client.inbox.getJobState(folded)) === "completed");
    await writeModels({ films: {} });
    await app.reload();
    await hold.release();
    expect((await deciding).decision).toBe("trigger_mock");
    const removed = await until("its follow-up was taken", async () => {
      const jobs = await world.client.inbox.getJobs(["completed"]);
      return jobs.find(({ returnvalue }) => returnvalue.outcome === "model_removed");
    });
    expect(removed.name).toBe(INBOX_JOBS.followup);
    expect(await world.client.inbox.getFailedCount()).toBe(0);

    // The event is not lost: it is decided once the model is back.
    await writeModels({ films: {}, books: {} });
    await app.reload();
    await until("the second event is covered", async () => {
      const rows = await world.sql("SELECT FROM retraining_events WHERE decision_id IS NULL");
      return rows.length === 0;
    });
    expect(await listDecisions("books")).toHaveLength(2);
  });
});
