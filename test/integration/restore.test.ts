import { randomBytes } from "node:crypto";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { INBOX_JOBS } from "../../queues/names.ts";
import { parseConfig } from "../../src/config/config.ts";
import { createDatabase } from "../../src/postgres/database.ts";
import { createLogger } from "../../src/process/logger.ts";
import { type Client, createClient } from "../../src/use-cases/client.ts";
import { verifyAll } from "../../src/use-cases/verify/verify-all.ts";
import { gitHubSettings, type FakeGitHub, startFakeGitHub } from "../github/fake-github.ts";
import { copyDatabase } from "../support/copy-database.ts";
import { queryOnce } from "../support/database-url.ts";
import { addCheckOf, createPolicyWorld, type PolicyWorld } from "../support/policies.ts";
import { startService } from "../support/service-process.ts";
import { holdTable, until } from "../support/world.ts";

const onAlert = (guards: object = {}) => ({ policy: { when: { driftAlerts: 1 }, guards } });
const MODELS = {
  training: onAlert(),
  failed: onAlert({ retryBackoff: "1h" }),
  snoozed: onAlert(),
  approving: onAlert({ approval: { expires: "24h" } }),
  waiting: { policy: { when: [{ driftAlerts: 1 }, { bufferSize: 10 }] } },
};
const BY = ["--by", "Ada", "--reason", "a test"];
const LONG = { queuedMs: 0, runningMs: 600_000, conclusion: "success" };
const BAD = { queuedMs: 0, runningMs: 0, conclusion: "failure" };

let world: PolicyWorld;
let github: FakeGitHub;
let restored: Restored | undefined;
beforeEach(async () => {
  github = await startFakeGitHub();
  world = await createPolicyWorld(MODELS, {
    ...gitHubSettings(github),
    TRAINING_POLL_SECONDS: "1",
    SCHEDULE: "0 6 1 1 *",
  });
});
afterEach(async () => {
  await world.stopApps();
  await restored?.drop();
  restored = undefined;
  await world.close();
  await github.close();
});

interface Decision {
  model: string;
  decision: string;
  reason: string;
}

/** A restored database, with a Redis that holds nothing of before. */
interface Restored {
  settings: Record<string, string>;
  client: Client;
  start(): Promise<void>;
  sql<Row extends object>(text: string): Promise<Row[]>;
  drop(): Promise<void>;
}

async function restore(): Promise<Restored> {
  const name = `restored_${randomBytes(6).toString("hex")}`;
  const url = await copyDatabase(world.config.databaseUrl, name);
  const settings = { ...world.settings, DATABASE_URL: url, REDIS_PREFIX: `{${name}}` };
  const config = parseConfig(settings);
  const client = createClient(config, createLogger("silent"));
  return {
    settings,
    client,
    async start() {
      const timing = { ...config.timing, pollMs: 250 };
      await world.startApp({ ...config, role: "worker", timing });
    },
    sql: (text) => queryOnce(url, text),
    async drop() {
      await client.close();
      const keys = await world.redis.keys(`{${name}}:*`);
      if (keys.length > 0) await world.redis.del(keys);
      await queryOnce(world.config.databaseUrl, `DROP DATABASE ${name} WITH (FORCE)`);
    },
  };
}

const DECISIONS = "SELECT model, decision, reason FROM retraining_decisions ORDER BY id";

/** Brings each model into the state that its name says, then kills the service in the middle of a run. */
async function workAndDie(): Promise<void> {
  const service = startService(world, { ROLE: "worker" });
  await service.untilLogged("Retrigger is ready");
  github.course = LONG;
  await addCheckOf(world, "training");
  await world.decide({ model: "training" });
  github.course = BAD;
  await addCheckOf(world, "failed");
  await world.decide({ model: "failed" });
  await until("a decision has seen the failure", async () =>
    (await world.sql<Decision>(DECISIONS)).some(({ reason }) => reason === "retry_backoff"),
  );
  await world.run("snooze", "snoozed", "--for", "3d", ...BY);
  await addCheckOf(world, "snoozed");
  expect((await world.decide({ model: "snoozed" })).reason).toBe("snoozed");
  await addCheckOf(world, "approving");
  expect((await world.decide({ model: "approving" })).reason).toBe("awaiting_approval");
  const hold = await holdTable(world, "monitoring.arrivals");
  await world.client.send(INBOX_JOBS.event, { runId: "drift-waiting", model: "waiting" });
  await hold.untilSessionWaits();
  service.child.kill("SIGKILL");
  await hold.release();
}

describe("a backup of Postgres that is restored beside an empty Redis", () => {
  it("goes on with every schedule, follow-up, training, approval and waiting event, and repeats nothing", async () => {
    await workAndDie();
    const before = await world.sql<Decision>(DECISIONS);
    restored = await restore();
    const { client, sql } = restored;
    await restored.start();
    await until("the waiting event is decided", async () =>
      (await sql<Decision>(DECISIONS)).some(({ model }) => model === "waiting"),
    );
    const schedules = await client.inbox.getJobSchedulers();
    expect(schedules.map(({ key }) => key).toSorted()).toEqual(
      Object.keys(MODELS)
        .map((model) => `schedule-${model}`)
        .toSorted(),
    );
    await until("the end of the backoff is scheduled", async () => {
      const [failed] = await sql<{ id: number }>(
        "SELECT max(id) AS id FROM retraining_decisions WHERE model = 'failed'",
      );
      return (await client.inbox.getJobState(`next-look-failed-${failed?.id}`)) === "delayed";
    });
    const [running] = github.runs;
    if (running) running.course = { queuedMs: 0, runningMs: 0, conclusion: "success" };
    await until("the training is followed to its end", async () => {
      const open = await sql("SELECT FROM retraining_dispatches WHERE state IN ('sent', 'running')");
      return open.length === 0;
    });
    github.course = LONG;
    const [approval] = await sql<{ id: number }>(
      "SELECT max(id) AS id FROM retraining_decisions WHERE model = 'approving'",
    );
    await world.runWith(restored.settings, "approve", String(approval?.id), ...BY);
    await until("the approved training is requested", async () => github.runs.length === 3);

    const after = await sql<Decision>(DECISIONS);
    expect(after.slice(0, before.length)).toEqual(before);
    // A failure of the last minute is evaluated once more, because a snapshot of that time may not have shown it yet.
    const added = after.slice(before.length).filter(({ reason }) => reason !== "retry_backoff");
    expect(added.map(({ model }) => model).toSorted()).toEqual(["approving", "waiting"]);
    expect(github.dispatches()).toHaveLength(3);
    const states = await sql<{ state: string }>("SELECT state FROM retraining_dispatches ORDER BY id");
    expect(states.slice(0, 2).map(({ state }) => state)).toEqual(["succeeded", "failed"]);
    await expectVerified(restored);
  });

  it("does not know a training that was requested after it, unless a snooze holds its model back", async () => {
    await world.startApp();
    restored = await restore();
    github.course = { queuedMs: 0, runningMs: 0, conclusion: "success" };
    // Drift runs often happen again after a restore, or their checks are in another database than the backup.
    for (const model of ["training", "failed"]) {
      await addCheckOf(world, model);
      expect((await world.decide({ model })).decision).toBe("trigger");
      await queryOnce(
        restored.settings["DATABASE_URL"] ?? "",
        `INSERT INTO monitoring.drift_log (model, metric, value, limit_value, fired, created_at)
         VALUES ('${model}', 'ks', 0.9, 0.05, true, now() - interval '1 hour')`,
      );
    }
    await world.stopApps();
    await world.runWith(restored.settings, "snooze", "failed", "--for", "7d", ...BY);
    await restored.start();
    for (const model of ["training", "failed"])
      await restored.client.waitForDecision(
        await restored.client.send(INBOX_JOBS.event, { runId: "drift-again", model }),
        { limitMs: 25_000 },
      );
    const latest = await restored.sql<Decision>(
      "SELECT DISTINCT ON (model) model, decision, reason FROM retraining_decisions ORDER BY model, id DESC",
    );
    expect(latest).toMatchObject([
      { model: "failed", decision: "no_action", reason: "snoozed" },
      { model: "training", decision: "trigger" },
    ]);
    expect(github.runs).toHaveLength(3);
  });
});

async function expectVerified({ settings }: Restored): Promise<void> {
  const database = createDatabase(parseConfig(settings), createLogger("silent"));
  try {
    const { faults, uncovered } = await verifyAll(database, { model: null });
    expect(faults).toEqual([]);
    expect(Object.values(uncovered)).toEqual([0, 0, 0, 0]);
  } finally {
    await database.close();
  }
}
