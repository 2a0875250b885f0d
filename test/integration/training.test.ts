import { once } from "node:events";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { closeGitHubWorld, createGitHubWorld, type GitHubWorld } from "../support/github-world.ts";
import { spawnScript, untilOutput } from "../support/process.ts";
import { addCheck, failureOf, until, withQueue } from "../support/world.ts";
import { deleteKeys } from "../support/redis-keys.ts";

let world: GitHubWorld;
beforeEach(async () => {
  world = await createGitHubWorld({ TRAINING_BACKOFF_SECONDS: "1" });
});
afterEach(() => closeGitHubWorld(world));

const GOOD = { queuedMs: 100, runningMs: 300, conclusion: "success" };
const BAD = { ...GOOD, conclusion: "failure" };

const reasons = async () => (await world.decisions()).map(({ reason }) => reason);

describe("a dispatched training", () => {
  it(
    "that fails holds its alerts back for a backoff that doubles, reports it, and is started again by a follow-up",
    { timeout: 60_000 },
    async () => {
      await closeGitHubWorld(world);
      world = await createGitHubWorld({ TRAINING_BACKOFF_SECONDS: "3" });
      world.github.course = BAD;
      await world.startApp();
      const { runId } = await world.decide();
      expect(await world.waitForTraining(runId)).toMatchObject({ state: "failed", conclusion: "failure" });
      expect((await world.decide()).reason).toBe("retry_backoff");
      await until("a second training failed too", async () => {
        const rows = await world.sql("SELECT FROM retraining_dispatches WHERE state = 'failed'");
        return rows.length === 2;
      });
      world.github.course = GOOD;
      const { report } = await world.decide();
      expect(report).toContain("failed (failure, failure 2 in a row)");
      await until("the third one succeeded", async () => {
        const rows = await world.sql("SELECT FROM retraining_dispatches WHERE state = 'succeeded'");
        return rows.length === 1;
      });
      const gaps = await world.sql<{ gap: number }>(
        `SELECT extract(epoch FROM asked_at - lag(ended_at) OVER (ORDER BY id))::float8 AS gap
       FROM retraining_dispatches ORDER BY id OFFSET 1`,
      );
      expect(gaps[0]?.gap).toBeGreaterThan(3);
      expect(gaps[1]?.gap).toBeGreaterThan(6);
      expect(await reasons()).toContain("drift_detected");
      const texts = await world.waitForNotifications("training_ended", "succeeded (success)");
      expect(texts[0]).toMatch(/failed \(failure\).*\nIts alerts are held back until 20/);
    },
  );

  it("that GitHub's concurrency group cancels does not count as a success", async () => {
    world.github.course = { queuedMs: 5_000, runningMs: 5_000, conclusion: "success" };
    await world.startApp();
    const { runId } = await world.decide();
    world.github.cancel(world.github.runs[0]?.id ?? 0);
    world.github.course = GOOD;
    expect(await world.waitForTraining(runId)).toMatchObject({ state: "cancelled", conclusion: "cancelled" });
    await until("another training is dispatched", async () => world.github.runs.length === 2);
  });

  it("that is re-run in GitHub during the backoff is followed again, and no second one is started", async () => {
    await closeGitHubWorld(world);
    world = await createGitHubWorld({ TRAINING_BACKOFF_SECONDS: "3" });
    world.github.course = BAD;
    await world.startApp();
    const { runId } = await world.decide();
    expect((await world.waitForTraining(runId)).state).toBe("failed");
    world.github.rerun(world.github.runs[0]?.id ?? 0, { ...GOOD, runningMs: 3_500 });
    const training = await until("the second attempt succeeded", async () => {
      const [row] = await world.sql("SELECT * FROM retraining_dispatches WHERE state = 'succeeded'");
      return row;
    });
    expect(training).toMatchObject({
      run_attempt: 2,
      conclusion: "success",
      duration_seconds: expect.any(Number) as number,
    });
    expect(world.github.dispatches()).toHaveLength(1);
  });

  it("keeps a status and a conclusion that are unknown", async () => {
    world.github.course = {
      ...BAD,
      conclusion: "quantum_flux",
      strangeStatus: "pondering",
      runningMs: 1_500,
    };
    await world.startApp();
    const { runId } = await world.decide();
    await until("its status is recorded", async () => {
      const rows = await world.sql(
        "SELECT FROM retraining_dispatches WHERE status = 'pondering' AND state = 'sent'",
      );
      return rows.length === 1;
    });
    expect(await world.waitForTraining(runId)).toMatchObject({ state: "failed", conclusion: "quantum_flux" });
  });

  it("that GitHub no longer knows counts as lost after the limit", async () => {
    await world.startApp({ timing: { lostAfterMs: 2_000 } });
    const { runId } = await world.decide();
    world.github.runs.splice(0);
    const report = await world.waitForTraining(runId);
    expect(report).toMatchObject({ state: "failed", conclusion: "lost" });
    expect(report.error).toMatch(/No sign of life for \d+ s\. GitHub no longer has run \d+/);
  });

  it("that was considered lost and reappears is followed again, and no second one is started", async () => {
    await closeGitHubWorld(world);
    world = await createGitHubWorld({ TRAINING_BACKOFF_SECONDS: "2" });
    await world.startApp({ timing: { lostAfterMs: 2_000 } });
    const { runId } = await world.decide();
    const runs = world.github.runs.splice(0);
    expect(await world.waitForTraining(runId)).toMatchObject({ state: "failed", conclusion: "lost" });
    world.github.runs.push(...runs);
    await until("it succeeded", async () => {
      const rows = await world.sql("SELECT FROM retraining_dispatches WHERE state = 'succeeded'");
      return rows.length === 1;
    });
    expect(world.github.dispatches()).toHaveLength(1);
  });

  it("is followed again after Redis lost the data of its job, but not the job", async () => {
    world.github.course = { ...GOOD, runningMs: 8_000 };
    await world.startApp();
    const { runId } = await world.decide();
    const { redisPrefix } = world.config;
    await world.redis.hdel(`${redisPrefix}:training:${runId}`, "data");
    await withQueue(world, "training", (queue) =>
      until("it failed", async () => (await queue.getJobState(runId)) === "failed"),
    );
    await world.redis.del(`${redisPrefix}:reconciled`);
    await until("it succeeded", async () => {
      const rows = await world.sql("SELECT FROM retraining_dispatches WHERE state = 'succeeded'");
      return rows.length === 1;
    });
  }, 45_000);

  it("is polled by one delayed job, with an ETag, and is still followed after Redis was emptied", async () => {
    world.github.course = { ...GOOD, runningMs: 8_000 };
    await world.startApp();
    const { runId } = await world.decide();
    const isConditional = () =>
      world.github.requests.some(({ headers }) => headers["if-none-match"] !== undefined);
    await until("it was polled with an ETag", async () => isConditional());
    const counts = await withQueue(world, "training", (queue) =>
      queue.getJobCounts("delayed", "waiting", "failed", "completed"),
    );
    expect(counts).toMatchObject({ waiting: 0, failed: 0, completed: 0 });
    await deleteKeys(world.redis, world.config.redisPrefix);
    await until(
      "it succeeded",
      async () => {
        const rows = await world.sql("SELECT FROM retraining_dispatches WHERE state = 'succeeded'");
        return rows.length === 1;
      },
      28_000,
    );
    expect(world.github.runsOf(runId)).toHaveLength(1);
  }, 45_000);

  it("keeps new alerts waiting while it runs, and they are evaluated when it ends", async () => {
    world.github.course = { ...GOOD, runningMs: 4_000 };
    await world.startApp();
    const { runId } = await world.decide();
    await addCheck(world, { age: "1 minute" });
    const held = await world.decide();
    expect(held).toMatchObject({ decision: "no_action", reason: "training_in_flight" });
    expect(held.report).toContain("In flight: the training of decision #1 (github,");
    expect((await world.waitForTraining(runId)).state).toBe("succeeded");
    await until("the new alert started a training", async () => world.github.runs.length === 2);
  });
});

describe("the service, at its start", () => {
  it("warns about a trainer that would refuse, and starts anyway", async () => {
    const service = spawnScript("src/main.ts", [], {
      ...world.settings,
      GITHUB_TOKEN: "ghp_wrong",
      LOG_LEVEL: "info",
    });
    const text = await untilOutput(service, /returned 401[^]*is ready|is ready[^]*returned 401/);
    service.kill("SIGTERM");
    await once(service, "exit");
    expect(text).toContain("create a new one and set GITHUB_TOKEN");
  });
});

describe("/metrics", () => {
  it("counts dispatches by state, an unknown one among them, and the jobs of each queue", async () => {
    world.github.next = ["drop"];
    const address = await world.startService({ timing: { searchMs: 500 } });
    await world.decide();
    const text = await (await fetch(`${address}/metrics`)).text();
    expect(text).toContain('retrigger_dispatches{model="default",trainer="github",state="unknown"} 1');
    expect(text).toMatch(/bullmq_job_count\{queue="summarize",state="completed"\} 1/);
    expect(text.match(/# TYPE bullmq_job_count gauge/g)).toHaveLength(1);
  });

  it("counts a failed job", async () => {
    const address = await world.startService();
    await world.sql("DROP TABLE drift_alerts");
    expect(await failureOf(world.decide())).toContain("drift_alerts");
    const text = await (await fetch(`${address}/metrics`)).text();
    expect(text).toMatch(/^bullmq_job_count\{queue="gather",state="failed"\} 1$/m);
  });
});
