import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { stringify } from "yaml";
import { INBOX_JOBS } from "../../queues/names.ts";
import { parseConfig } from "../../src/config/config.ts";
import { buildApp } from "../../src/app.ts";
import type { Finding } from "../../src/core/finding.ts";
import { createLogger } from "../../src/process/logger.ts";
import { diagnose } from "../../src/use-cases/doctor/doctor.ts";
import { renderFindings } from "../../src/use-cases/doctor/render.ts";
import { runScript, spawnScript } from "../support/process.ts";
import { startReceiver } from "../support/receiver.ts";
import { addCheck, createWorld, until, withQueue, type World } from "../support/world.ts";

const log = createLogger("silent");
let world: World;
let folder: string;
const ends: (() => unknown)[] = [];
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "doctor-service-"));
  world = await createWorld({ settings: { MIN_BUFFER_SIZE: "0", PUBLIC_URL: "https://retrigger.example" } });
});
afterEach(async () => {
  for (const end of ends.splice(0)) await end();
  await world.close();
  await rm(folder, { recursive: true });
});

/** What doctor finds with changed settings, without what is fine. */
async function findWrong(changes: Record<string, string> = {}): Promise<Finding[]> {
  const findings = await diagnose(parseConfig({ ...world.settings, ...changes }), log, {
    checksAllTrainers: false,
  });
  return findings.filter(({ level, text }) => level !== "ok" && !text.startsWith("Redis "));
}

async function writeModels(name: string, models: object): Promise<string> {
  const path = join(folder, name);
  await writeFile(path, stringify({ models }));
  return path;
}

describe("retrigger doctor, about running services", () => {
  it("finds nothing if they run with the same settings, however these are written", async () => {
    await world.startApp();
    expect(
      await findWrong({
        MIN_ALERTS_TRIGGERED: "1",
        ROLE: "web",
        PORT: "4000",
        METRICS_PORT: "9464",
        LOG_LEVEL: "debug",
      }),
    ).toEqual([]);
    expect(await diagnose(world.config, log, { checksAllTrainers: false })).toContainEqual({
      level: "ok",
      text: "1 service runs with these settings",
    });
  });

  it("names the variables that differ, secrets too, and shows no value", async () => {
    const secret = "a secret of long ago";
    const settings = { NOTIFICATION_URL: "http://127.0.0.1:9/hook", NOTIFICATION_SECRET: secret };
    const config = parseConfig({ ...world.settings, ...settings });
    await world.startApp({ ...config, role: "worker" });
    expect(await findWrong(settings)).toEqual([]);
    const found = await findWrong({
      ...settings,
      NOTIFICATION_SECRET: "a secret of today",
      MIN_BUFFER_SIZE: "12345",
      EVIDENCE_MAX_AGE_SECONDS: "600",
    });
    expect(found).toEqual([
      {
        level: "warning",
        text: expect.stringMatching(
          /^worker on \S+, process \d+ has run with other settings since .* UTC: EVIDENCE_MAX_AGE_SECONDS, MIN_BUFFER_SIZE, NOTIFICATION_SECRET, model default$/,
        ) as string,
        remedy: "Restart it with the intended settings",
      },
    ]);
    const replies = await world.redis.keys(`${world.config.redisPrefix}:describe-replies:*`);
    expect(replies).toHaveLength(2);
    const kept = (await Promise.all(replies.map((key) => world.redis.lrange(key, 0, -1)))).join();
    expect(kept).toContain("NOTIFICATION_SECRET");
    for (const value of [secret, "127.0.0.1:9", "12345", "retrigger.example"])
      expect(kept).not.toContain(value);
    for (const key of replies) expect(await world.redis.ttl(key)).toBeGreaterThan(0);
  });

  it("names another database, but not another address of the same one", async () => {
    await world.startApp();
    const url = new URL(world.config.databaseUrl);
    url.hostname = url.hostname === "localhost" ? "127.0.0.1" : "localhost";
    expect(await findWrong({ DATABASE_URL: url.href })).toEqual([]);
    const other = await createWorld();
    ends.push(other.close);
    const found = await findWrong({ DATABASE_URL: other.config.databaseUrl });
    expect(found.map(({ text }) => text)).toEqual([
      expect.stringContaining("UTC: DATABASE_URL (another database)"),
    ]);
  });

  it("names the models that differ and those that no service has, until it has reloaded the file", async () => {
    const path = await writeModels("models.yaml", { films: {}, books: {} });
    const settings = { ...world.settings, RETRIGGER_CONFIG: path };
    const readConfig = () => parseConfig(settings);
    const app = await world.startApp({ ...readConfig(), role: "worker" }, { readConfig });
    // Another service on the same prefix has another model.
    const others = await writeModels("others.yaml", { songs: {} });
    const elsewhere = parseConfig({ ...world.settings, RETRIGGER_CONFIG: others });
    await world.startApp({ ...elsewhere, role: "worker" });
    expect(await findWrong({ RETRIGGER_CONFIG: path })).toEqual([]);

    await writeModels("models.yaml", {
      films: { policy: { when: { driftAlerts: 3 } } },
      books: {},
      news: {},
    });
    const found = await findWrong({ RETRIGGER_CONFIG: path });
    expect(
      found.map(({ model, text, remedy }) => [model, text.replace(/since .* UTC/, "since T"), remedy]),
    ).toEqual([
      [
        undefined,
        expect.stringMatching(/has run with other settings since T: model films$/),
        "npx retrigger config reload",
      ],
      ["news", "no running service has this model", "npx retrigger config reload, or restart the service"],
    ]);
    expect((await app.reload()).outcome).toBe("applied");
    expect(await findWrong({ RETRIGGER_CONFIG: path })).toEqual([]);
  });
});

describe("retrigger doctor, about jobs", () => {
  it("says that no worker runs, that a queue is paused, and how long a job has waited", async () => {
    expect(await findWrong()).toEqual([
      { level: "warning", text: "No worker is running, so events wait", remedy: "npm start" },
    ]);
    await world.startApp();
    await withQueue(world, "gather", async (queue) => {
      await queue.pause();
      expect(await findWrong()).toEqual([
        {
          level: "warning",
          text: "The queue gather is paused, so its jobs wait",
          remedy: "Press Resume: https://retrigger.example/queues/queue/gather",
        },
      ]);
      await queue.resume();
    });
    // No worker of this process takes jobs of training, so that one waits.
    await world.stopApps();
    await world.startApp({}, { trainings: "none" });
    await withQueue(world, "training", (queue) =>
      queue.add("follow", {}, { timestamp: Date.now() - 600_000 }),
    );
    expect((await findWrong()).map(({ text }) => text)).toEqual([
      "A job of training has waited for 10 min although workers run: they are busy or stuck",
    ]);
  });

  it("shows the newest failed jobs with model, age, reason and the page to retry them, and counts the rest", async () => {
    await world.sql("ALTER TABLE drift_alerts RENAME TO gone");
    await world.startApp();
    for (let index = 0; index < 4; index += 1) await world.decide().catch(() => {});
    await withQueue(world, "gather", (queue) =>
      until("all have failed", async () => (await queue.getFailedCount()) === 4),
    );
    const found = (await findWrong()).filter(({ text }) => text.includes("gather"));
    expect(found).toHaveLength(4);
    expect(found[0]).toEqual({
      level: "warning",
      model: "default",
      group: "a job of gather failed for good",
      text: expect.stringMatching(/^its gather job failed for good \d+ s ago: Missing table/) as string,
      remedy: expect.stringMatching(
        /^Fix the cause, then press Retry: https:\/\/retrigger\.example\/queues\/queue\/gather\/[\da-f-]{36}$/,
      ) as string,
    });
    expect(found[3]).toEqual({
      level: "warning",
      text: "4 jobs of gather have failed for good",
      remedy: "Retry or remove them: https://retrigger.example/queues/queue/gather?status=failed",
    });
    await world.sql("ALTER TABLE gone RENAME TO drift_alerts");
    await world.decide();
    expect((await findWrong()).filter(({ text }) => text.includes("gather"))).toEqual([]);
  });

  it("shows a training that is unknown, with the two commands that settle it", async () => {
    const receiver = await startReceiver();
    ends.push(receiver.close);
    receiver.respond = (_, response) => void response.destroy();
    const trainer = {
      TRAINER: "webhook",
      TRAINER_URL: `${receiver.url}/train`,
      TRAINER_SECRET: "a secret of the trainer",
      TRAINER_OUTCOME: "accepted",
    };
    const config = parseConfig({ ...world.settings, ...trainer });
    await addCheck(world);
    await world.startApp({
      ...config,
      role: "worker",
      timing: { ...config.timing, searchMs: 300, pollMs: 200 },
    });
    const { decisionId } = await world.decide();
    await until("it is unknown", async () => {
      const rows = await world.sql("SELECT 1 FROM retraining_dispatches WHERE state = 'unknown'");
      return rows.length > 0;
    });
    const found = (await findWrong(trainer)).filter(({ level }) => level === "fault");
    expect(found.map(({ model }) => model)).toEqual(["default"]);
    expect(renderFindings(found, { models: 1, showsAll: false }).join("\n")).toMatch(
      new RegExp(
        `^❌ default: it is unknown whether webhook has started the training of decision #${decisionId}, requested at .* UTC\n {3}→ It started: +npx retrigger dispatch confirm ${decisionId} <run>\n {5}It did not start: +npx retrigger dispatch resend ${decisionId}$`,
      ),
    );
  });

  it("warns of a buffer that did not shrink although it is too large to be counted, by the latest decision", async () => {
    await addCheck(world);
    await world.startApp();
    await world.decide();
    const warning = { code: "buffer_did_not_shrink", text: "the buffer did not shrink after the training" };
    await world.sql(
      "UPDATE retraining_decisions SET explanation = jsonb_set(explanation, '{warnings}', $1)",
      [JSON.stringify([warning])],
    );
    expect(await findWrong()).toEqual([]);
    await world.sql(
      "DROP TABLE ratings_buffer CASCADE; CREATE VIEW ratings_buffer AS SELECT pg_sleep(3)::text AS batch_id, 1::bigint AS timestamp, now() AS ingested_at",
    );
    expect((await findWrong()).map(({ text }) => text)).toContain(warning.text);
  });

  it("prints what is wrong with the settings as findings with --json, too", async () => {
    const { code, stdout, stderr } = await runScript("src/cli.ts", ["doctor", "--json"], {
      ...world.settings,
      MIN_BUFFER_SIZE: "lots",
      PORT: "none",
    });
    expect({ code, stderr }).toEqual({ code: 1, stderr: "" });
    const { findings } = JSON.parse(stdout) as { findings: Finding[] };
    expect(findings.map(({ level }) => level)).toEqual(["fault", "fault"]);
    expect(findings.map(({ text }) => text).join()).toMatch(
      /MIN_BUFFER_SIZE is "lots".*PORT is "none"|PORT is "none".*MIN_BUFFER_SIZE is "lots"/,
    );
  });

  it("prints all findings as one JSON object with --json", async () => {
    const child = spawnScript("src/cli.ts", ["doctor", "--json"], world.settings);
    let output = "";
    child.stdout?.on("data", (chunk: Buffer) => (output += chunk.toString()));
    await new Promise((resolve) => child.on("close", resolve));
    const { findings } = JSON.parse(output) as { findings: Finding[] };
    expect(findings).toContainEqual({
      level: "warning",
      text: "No worker is running, so events wait",
      remedy: "npm start",
    });
  });
});

describe("retrigger decide --wait", () => {
  it.each(["drift_monitoring", "gather"])(
    "says within seconds that the queue %s is paused, and how to resume it",
    async (name) => {
      await world.startApp();
      await withQueue(world, name, async (queue) => {
        await queue.pause();
        const child = spawnScript("src/cli.ts", ["decide", "--wait"], world.settings);
        let errors = "";
        child.stderr?.on("data", (chunk: Buffer) => (errors += chunk.toString()));
        const expected = `⏳ Waiting: the queue ${name} is paused. Press Resume in Bull Board: https://retrigger.example/queues/queue/${name}\n`;
        await until("it says so", async () => errors.includes(expected), 10_000);
        await queue.resume();
        await new Promise((resolve) => child.on("close", resolve));
        expect(child.exitCode).toBe(0);
        expect(errors.split(expected)).toHaveLength(2);
      });
    },
  );

  it("says within seconds that the last worker has ended", async () => {
    const app = buildApp({ ...world.config, role: "worker" }, log);
    await app.start();
    await withQueue(world, "gather", async (queue) => {
      await queue.pause();
      const waits: string[] = [];
      const jobId = await world.client.send(INBOX_JOBS.manual, {});
      const waiting = world.client.waitForDecision(jobId, {
        limitMs: 20_000,
        onWait: (why) => waits.push(why),
      });
      await until("it is paused", async () => waits.length === 1);
      await app.stop();
      await queue.resume();
      await until("it says so", async () => waits.length === 2);
      expect(waits[1]).toBe("⏳ Waiting: no worker is running. Start one with: npm start");
      await world.startApp();
      expect((await waiting).decision).toBe("no_action");
    });
  });
});
