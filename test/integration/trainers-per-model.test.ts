import { mkdtemp, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type Config, parseConfig } from "../../src/config/config.ts";
import { createDatabase } from "../../src/postgres/database.ts";
import { createLogger } from "../../src/process/logger.ts";
import { createRedactor } from "../../src/process/redact.ts";
import { createTrainers } from "../../src/trainers/registry.ts";
import { dryRun } from "../../src/use-cases/dry-run.ts";
import { requireRemote } from "../../src/use-cases/settle-dispatch.ts";
import { type Receiver, startReceiver } from "../support/receiver.ts";
import { signedHeaders } from "../support/signed-headers.ts";
import { addCheck, createWorld, failureOf, until, withQueue, type World } from "../support/world.ts";
import { listKeys } from "../support/redis-keys.ts";

const SECRET = "a secret of both sides";

let world: World;
let receiver: Receiver;
let directory: string;
beforeEach(async () => {
  receiver = await startReceiver();
  directory = await mkdtemp(join(process.cwd(), ".data", "per-model-"));
  world = await createWorld({ settings: { MIN_BUFFER_SIZE: "0" } });
  await addCheck(world);
});
afterEach(async () => {
  await world.close();
  await receiver.close();
  await rm(directory, { recursive: true });
});

const mock = (): Record<string, string> => ({ TRAINER: "mock" });

const command = (): Record<string, string> => ({
  TRAINER: "command",
  TRAINER_COMMAND: JSON.stringify(["/bin/sh", "-c", 'echo "$0" >> runs', "{model}"]),
  TRAINER_COMMAND_DIRECTORY: directory,
  PATH: process.env["PATH"] ?? "",
});

const webhook = (changes: Record<string, string> = {}): Record<string, string> => ({
  TRAINER: "webhook",
  TRAINER_URL: `${receiver.url}/train`,
  TRAINER_SECRET: SECRET,
  TRAINER_OUTCOME: "callback",
  PUBLIC_URL: "http://retrigger.example",
  ...changes,
});

/** The settings of one service whose models each have the trainer of these variables; the environment's is the first. */
function configOf(models: Record<string, Record<string, string>>): Config {
  const configs = Object.entries(models).map(
    ([model, settings]) => [model, parseConfig({ ...world.settings, ...settings })] as const,
  );
  const [first] = configs;
  if (!first) throw new Error("No models");
  return {
    ...first[1],
    role: "all",
    timing: { ...first[1].timing, searchMs: 1_000, pollMs: 200 },
    secrets: new Map(
      configs.flatMap(([model, { secrets }]) =>
        [...secrets].map(([name, text]) => [`${name} ${model}`, text]),
      ),
    ),
    models: new Map(
      configs.flatMap(([model, { models: own }]) => [...own.values()].map((values) => [model, values])),
    ),
  };
}

/** Responds to requests with a status URL, and to polls with the status. */
function respondWith(status: () => object): void {
  receiver.respond = ({ method, headers }, response) => {
    response.setHeader("content-type", "application/json");
    const key = headers["idempotency-key"] ?? "";
    const job = { id: key, status_url: `${receiver.url}/jobs/${key}` };
    response.end(JSON.stringify(method === "POST" ? job : status()));
  };
}

const programRuns = async () => readFile(join(directory, "runs"), "utf8").catch(() => "");
const rows = () =>
  world.sql(
    `SELECT decision.model, decision.decision, decision.trainer, dispatch.trainer AS dispatched, dispatch.state
     FROM retraining_decisions AS decision JOIN retraining_dispatches AS dispatch ON decision_id = decision.id
     ORDER BY decision.id`,
  );

async function postOutcome(address: string | null, runId: string, secret: string): Promise<number> {
  const body = JSON.stringify({ decision_id: runId, status: "completed", conclusion: "success" });
  const { status } = await fetch(`${address}/api/v1/trainings/${runId}/outcome`, {
    method: "POST",
    body,
    headers: signedHeaders(secret, body),
  });
  return status;
}

describe("a service whose models have different trainers", () => {
  const models = () => ({ shown: mock(), local: command(), remote: webhook() });

  it("sends each training to the trainer of its model only, and follows it to its end", async () => {
    const app = await world.startApp(configOf(models()));
    const shown = await world.decide({ model: "shown" });
    const local = await world.decide({ model: "local" });
    const remote = await world.decide({ model: "remote" });
    expect(shown.dispatch).toMatchObject({ trainer: "mock", state: "sent" });
    expect(await world.client.waitForTraining(local.runId, { limitMs: 20_000 })).toMatchObject({
      state: "succeeded",
    });
    expect(await programRuns()).toBe("local\n");
    expect(receiver.received.map(({ headers }) => headers["idempotency-key"])).toEqual([remote.runId]);
    expect(await postOutcome(app.address(), remote.runId, SECRET)).toBe(200);
    expect((await world.client.waitForTraining(remote.runId, { limitMs: 20_000 })).state).toBe("succeeded");
    expect(await rows()).toEqual([
      { model: "shown", decision: "trigger_mock", trainer: "mock", dispatched: "mock", state: "sent" },
      { model: "local", decision: "trigger", trainer: "command", dispatched: "command", state: "succeeded" },
      { model: "remote", decision: "trigger", trainer: "webhook", dispatched: "webhook", state: "succeeded" },
    ]);
    for (const model of ["shown", "local", "remote"])
      expect((await world.decide({ model })).reason, model).toBe("already_acted_on");
  });

  it("shows the request of each model's trainer in a dry run", async () => {
    const config = configOf(models());
    const database = createDatabase(config, createLogger("silent"));
    try {
      await database.migrate();
      const shown = async (model: string) => (await dryRun({ config, database, model })).dispatch;
      expect(await shown("shown")).toMatchObject({
        trainer: "mock",
        request: { url: expect.stringContaining("api.github.com") as string },
      });
      expect(await shown("local")).toMatchObject({
        trainer: "command",
        request: { workingDirectory: directory },
      });
      expect(await shown("remote")).toMatchObject({
        trainer: "webhook",
        request: { url: `${receiver.url}/train` },
      });
    } finally {
      await database.close();
    }
    expect(receiver.received).toEqual([]);
  });

  it("accepts an outcome only if it is signed with the secret of that training's model", async () => {
    const other = "the secret of another model";
    const app = await world.startApp(
      configOf({ shown: mock(), remote: webhook(), second: webhook({ TRAINER_SECRET: other }) }),
    );
    const { runId } = await world.decide({ model: "remote" });
    expect(await postOutcome(app.address(), runId, other)).toBe(401);
    const unknown = "01a20000-0000-7000-8000-000000000000";
    expect(await postOutcome(app.address(), unknown, other)).toBe(404);
    expect(await postOutcome(app.address(), unknown, "a secret of nobody")).toBe(401);
    expect(await postOutcome(app.address(), "not-an-id", "a secret of nobody")).toBe(401);
    const { runId: shownRunId } = await world.decide({ model: "shown" });
    expect(await postOutcome(app.address(), shownRunId, SECRET)).toBe(404);
    expect((await rows()).map(({ state }) => state)).toEqual(["sent", "sent"]);
    expect(await postOutcome(app.address(), runId, SECRET)).toBe(200);
  });
});

describe("a model whose trainer was changed", () => {
  it("does not count what the mock showed as an answer to an alert", async () => {
    await world.startApp(configOf({ films: mock() }));
    await world.decide({ model: "films" });
    expect((await world.decide({ model: "films" })).reason).toBe("already_acted_on");
    await world.stopApps();
    await world.startApp(configOf({ films: command() }));
    const { decision, runId } = await world.decide({ model: "films" });
    expect(decision).toBe("trigger");
    expect((await world.client.waitForTraining(runId, { limitMs: 20_000 })).state).toBe("succeeded");
    expect(await programRuns()).toBe("films\n");
  });

  it(
    "leaves a training of the old trainer alone, also after Redis was emptied",
    { timeout: 60_000 },
    async () => {
      let status: object = { status: "in_progress" };
      respondWith(() => status);
      const polled = webhook({ TRAINER_OUTCOME: "status_url" });
      await world.startApp(configOf({ changed: polled, same: polled }));
      const changed = await world.decide({ model: "changed" });
      const same = await world.decide({ model: "same" });
      await until("both run", async () => (await rows()).every(({ state }) => state === "running"));
      await world.stopApps();
      await world.redis.del(await listKeys(world.redis, `${world.config.redisPrefix}:*`));

      status = { status: "completed", conclusion: "success" };
      const config = configOf({ changed: command(), same: polled });
      const before = receiver.received.length;
      await world.startApp(config);
      await until("the other training has ended", async () => (await rows())[1]?.["state"] === "succeeded");
      expect((await rows())[0]).toMatchObject({ dispatched: "webhook", state: "running" });
      expect(receiver.received.slice(before).map(({ path }) => path)).not.toContain(`/jobs/${changed.runId}`);
      await withQueue(world, "training", async (queue) => {
        expect(await queue.getJobState(changed.runId)).toBe("unknown");
        expect(await queue.getJobState(same.runId)).not.toBe("unknown");
      });
      expect(await programRuns()).toBe("");

      const trainers = await createTrainers(config, createRedactor(config.secrets));
      const settle = (model: string, trainer: string) =>
        failureOf((async () => requireRemote(trainers, { decisionId: 1, model, trainer }))());
      expect(await settle("changed", "webhook")).toBe(
        "The training of decision 1 was dispatched to webhook, but the trainer of changed is command",
      );
    },
  );

  it("is sent no request that was recorded for the old trainer", { timeout: 60_000 }, async () => {
    receiver.respond = (_, response) => response.writeHead(429).end();
    await world.startApp(configOf({ films: webhook() }));
    const jobId = await world.client.send("drift_monitoring.completed", { runId: "limited", model: "films" });
    const runId = await until("the request waits", async () => {
      const job = await world.client.inbox.getJob(jobId);
      const started = (job?.returnvalue as { runId?: string } | null)?.runId;
      if (started === undefined) return null;
      return withQueue(world, "act", async (queue) =>
        (await queue.getJobState(started)) === "delayed" ? started : null,
      );
    });
    await world.stopApps();
    await world.startApp(configOf({ films: command() }));
    await withQueue(world, "act", async (queue) => (await queue.getJob(runId))?.promote());
    const { dispatch } = await world.client.waitForDecision(jobId, { limitMs: 20_000 });
    expect(dispatch).toMatchObject({ trainer: "webhook", state: "pending" });
    expect(receiver.received).toHaveLength(1);
    expect(await programRuns()).toBe("");
  });
});
