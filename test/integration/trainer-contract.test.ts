import { writeFileSync } from "node:fs";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import type { ServerResponse } from "node:http";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { parseConfig } from "../../src/config/config.ts";
import { gitHubSettings, type FakeGitHub, startFakeGitHub } from "../github/fake-github.ts";
import { type Receiver, startReceiver } from "../support/receiver.ts";
import { afterRecording, failAfterAct } from "../support/stages.ts";
import { addCheck, createWorld, until, type World } from "../support/world.ts";

/** A trainer under test, and control over how its trainings end. */
interface Subject {
  settings: Record<string, string>;
  /** Sets how trainings end from now on. */
  setTrainings(end: "succeed" | "fail" | "run on"): void;
  /** How many trainings were started, counted by the trainer itself. */
  countStarts(): Promise<number>;
  close(): Promise<void>;
}

async function createGitHub(): Promise<Subject & { github: FakeGitHub }> {
  const github = await startFakeGitHub();
  return {
    github,
    settings: {
      ...gitHubSettings(github),
    },
    setTrainings(end) {
      github.course = {
        queuedMs: 0,
        runningMs: end === "run on" ? 600_000 : 300,
        conclusion: end === "fail" ? "failure" : "success",
      };
    },
    countStarts: async () => github.runs.length,
    close: () => github.close(),
  };
}

async function createWebhook(): Promise<Subject> {
  const receiver: Receiver = await startReceiver();
  let outcome: object = {};
  receiver.respond = ({ method }, response: ServerResponse) => {
    response.setHeader("content-type", "application/json");
    const job = { id: "job-1", status_url: `${receiver.url}/jobs/1` };
    response.end(JSON.stringify(method === "POST" ? job : outcome));
  };
  return {
    settings: {
      TRAINER: "webhook",
      TRAINER_URL: `${receiver.url}/train`,
      TRAINER_SECRET: "a secret of both sides",
      TRAINER_OUTCOME: "status_url",
    },
    setTrainings(end) {
      const conclusion = end === "fail" ? "failure" : "success";
      outcome = end === "run on" ? { status: "in_progress" } : { status: "completed", conclusion };
    },
    countStarts: async () => receiver.received.filter(({ method }) => method === "POST").length,
    close: () => receiver.close(),
  };
}

async function createCommand(): Promise<Subject> {
  const directory = await mkdtemp(join(process.cwd(), ".data", "contract-"));
  const script = join(directory, "train.sh");
  const write = (ending: string) => writeFileSync(script, `echo run >> ${directory}/runs\n${ending}\n`);
  write("exit 0");
  return {
    settings: {
      TRAINER: "command",
      TRAINER_COMMAND: JSON.stringify(["/bin/sh", script]),
      PATH: process.env["PATH"] ?? "",
    },
    setTrainings(end) {
      write({ succeed: "exit 0", fail: "exit 3", "run on": "sleep 600" }[end]);
    },
    async countStarts() {
      const runs = await readFile(join(directory, "runs"), "utf8").catch(() => "");
      return runs.split("\n").filter(Boolean).length;
    },
    close: () => rm(directory, { recursive: true }),
  };
}

describe.each<[string, () => Promise<Subject>]>([
  ["github", createGitHub],
  ["webhook", createWebhook],
  ["command", createCommand],
])("the trainer %s", (name, create) => {
  let subject: Subject;
  let world: World;
  beforeEach(async () => {
    subject = await create();
    world = await createWorld({ settings: { MIN_BUFFER_SIZE: "0", ...subject.settings } });
    await addCheck(world);
  });
  afterEach(async () => {
    await world.close();
    await subject.close();
  });

  const config = () => ({
    ...parseConfig(world.settings),
    role: "worker" as const,
    timing: { ...world.config.timing, searchMs: 1_000, pollMs: 200 },
  });
  const start = (changes: object = {}) => world.startApp({ ...config(), ...changes });
  const followed = (runId: string) => world.client.waitForTraining(runId, { limitMs: 20_000 });
  const dispatches = () => world.sql("SELECT * FROM retraining_dispatches ORDER BY id");

  it("trains once for a decision, and records its success with the times", async () => {
    subject.setTrainings("succeed");
    await start();
    const { runId, decision, dispatch } = await world.decide();
    expect({ decision, trainer: dispatch?.trainer, state: dispatch?.state }).toEqual({
      decision: "trigger",
      trainer: name,
      state: "sent",
    });
    expect(await followed(runId)).toMatchObject({ state: "succeeded", conclusion: "success" });
    expect(await subject.countStarts()).toBe(1);
    const [row] = await dispatches();
    expect(row).toMatchObject({ state: "succeeded", status: "completed", reason_code: null, error: null });
    for (const column of ["asked_at", "heard_at", "started_at", "ended_at"])
      expect(row?.[column], column).toBeInstanceOf(Date);
    expect((await world.decide()).reason).toBe("already_acted_on");
  });

  it("records a failed training, and holds its alerts back", async () => {
    subject.setTrainings("fail");
    await start();
    const { runId } = await world.decide();
    const report = await followed(runId);
    expect(report).toMatchObject({ state: "failed", conclusion: "failure" });
    expect(report.alertsBackAt).not.toBeNull();
    expect((await world.decide()).reason).toBe("retry_backoff");
    expect(await subject.countStarts()).toBe(1);
  });

  it("is sent one request, however often the act stage runs", async () => {
    subject.setTrainings("succeed");
    await world.startApp(config(), failAfterAct(2));
    await world.decide();
    await until("it has ended", async () => (await dispatches())[0]?.["state"] === "succeeded");
    expect(await subject.countStarts()).toBe(1);
  });

  it("holds its model back while it trains", async () => {
    subject.setTrainings("run on");
    await start();
    await world.decide();
    await until("it runs", async () => (await dispatches())[0]?.["state"] === "running");
    await addCheck(world, { age: "1 minute" });
    const held = await world.decide();
    expect(held.reason).toBe("training_in_flight");
    expect(Date.parse(held.nextLookAt ?? "")).toBeGreaterThan(Date.now());
  });

  it("is sent no request from a row that does not match the settings", async () => {
    subject.setTrainings("succeed");
    const tamper = () =>
      world.sql(
        `UPDATE retraining_dispatches SET request = '{"command": ["/bin/false"], "workingDirectory": "/"}'`,
      );
    await world.startApp(config(), afterRecording(tamper));
    expect((await world.decide()).dispatch).toMatchObject({ state: "rejected", reason: "request_tampered" });
    expect(await subject.countStarts()).toBe(0);
  });

  it("finishes a training quietly if the settings no longer name its model", async () => {
    subject.setTrainings("run on");
    await start();
    const { runId } = await world.decide();
    if (name === "command") return; // The training ended with its worker.
    await world.stopApps();
    const [own] = world.config.models.values();
    if (!own) throw new Error("The settings name no model");
    // As if a quarter of an hour had passed, when the old service is no longer expected to restart.
    await world.redis.del(`${world.config.redisPrefix}:model-claims`);
    await start({ models: new Map([["another", own]]) });
    subject.setTrainings("fail");
    await until("its end is recorded", async () => {
      if ("github" in subject) {
        const { github } = subject as { github: FakeGitHub };
        for (const { id } of github.runs) github.cancel(id);
      }
      return ["failed", "cancelled"].includes(String((await dispatches())[0]?.["state"]));
    });
    expect(["failed", "cancelled"]).toContain((await followed(runId)).state);
    expect(await world.sql("SELECT FROM retraining_decisions")).toHaveLength(1);
  });
});
