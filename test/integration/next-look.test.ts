import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { closeGitHubWorld, createGitHubWorld, type GitHubWorld } from "../support/github-world.ts";
import { addCheck, until, withQueue } from "../support/world.ts";
import { deleteKeys } from "../support/redis-keys.ts";

let world: GitHubWorld;
beforeEach(async () => {
  world = await createGitHubWorld({ TRAINING_BACKOFF_SECONDS: "3" });
});
afterEach(() => closeGitHubWorld(world));

const BAD = { queuedMs: 0, runningMs: 200, conclusion: "failure" };
const GOOD = { queuedMs: 0, runningMs: 200, conclusion: "success" };
const LONG = { queuedMs: 0, runningMs: 600_000, conclusion: "success" };

const listFollowUps = () =>
  withQueue(world, "drift_monitoring", async (inbox) =>
    (await inbox.getJobs(["delayed"])).filter(({ name }) => name === "next-look"),
  );

/** Fails one training, and waits for the decision that follows the failure. */
async function failOnce() {
  world.github.course = BAD;
  const { runId } = await world.decide();
  const failed = await world.waitForTraining(runId);
  const decision = await until("a decision has seen the failure", async () => (await world.decisions())[1]);
  return { failed, decision };
}

describe("a model whose training failed", () => {
  it("is re-evaluated at once, says when its alerts are released, and is re-evaluated then", async () => {
    await world.startApp();
    const { failed, decision } = await failOnce();
    expect(decision).toMatchObject({ reason: "retry_backoff", cause: "followup" });
    // The training's report and the decision give the same time.
    const nextLookAt = (decision["next_look_at"] as Date).getTime();
    expect(Math.abs(Date.parse(failed.alertsBackAt ?? "") - nextLookAt)).toBeLessThanOrEqual(1);
    expect(await listFollowUps()).toHaveLength(1);
    world.github.course = GOOD;
    await until("another training", async () => world.github.runs.length === 2);
    const [again] = await world.sql<{ late: number }>(
      `SELECT extract(epoch FROM later.taken_at - earlier.next_look_at)::float8 AS late
       FROM retraining_decisions AS earlier JOIN retraining_decisions AS later ON later.previous_id = earlier.id
       WHERE earlier.next_look_at IS NOT NULL`,
    );
    expect(again?.late).toBeGreaterThan(0);
    expect(again?.late).toBeLessThan(2);
    expect(await listFollowUps()).toEqual([]);
  });

  it("has one scheduled follow-up, that of its latest decision", async () => {
    await closeGitHubWorld(world);
    world = await createGitHubWorld({ TRAINING_BACKOFF_SECONDS: "3600" });
    await world.startApp();
    await failOnce();
    for (let decision = 0; decision < 3; decision += 1)
      expect(await world.decide()).toMatchObject({ reason: "retry_backoff" });
    const [latest] = await world.sql("SELECT max(id) AS id FROM retraining_decisions");
    expect((await listFollowUps()).map(({ id }) => id)).toEqual([`next-look-default-${latest?.["id"]}`]);
    // A new alert starts a training, so no follow-up is left.
    world.github.course = GOOD;
    await addCheck(world, { age: "1 minute" });
    expect((await world.decide()).decision).toBe("trigger");
    expect(await listFollowUps()).toEqual([]);
  });

  it("is re-evaluated on time even if Redis was emptied meanwhile", async () => {
    await closeGitHubWorld(world);
    world = await createGitHubWorld({ TRAINING_BACKOFF_SECONDS: "8" });
    await world.startApp();
    await failOnce();
    world.github.course = GOOD;
    await deleteKeys(world.redis, world.config.redisPrefix);
    await until("its follow-up is restored", async () => (await listFollowUps()).length === 1);
    await until("another training", async () => world.github.runs.length === 2);
  });

  it("is not re-evaluated over and over with the re-trigger guard off", async () => {
    await closeGitHubWorld(world);
    world = await createGitHubWorld({ RETRIGGER_GUARD: "off" });
    world.github.course = BAD;
    await world.startApp();
    const { runId } = await world.decide();
    expect((await world.waitForTraining(runId)).state).toBe("failed");
    expect(await listFollowUps()).toEqual([]);
    expect(await world.client.inbox.getJobCountByTypes("delayed", "waiting", "prioritized", "active")).toBe(
      0,
    );
    expect(await world.decisions()).toHaveLength(1);
  });
});

describe("a decision that a training holds back", () => {
  it("is not recorded if the training has ended since: the run is superseded and the model re-evaluated", async () => {
    world.github.course = LONG;
    const ended = { done: false };
    await world.startApp(
      {},
      {
        replaceProcessors: (processors) => ({
          ...processors,
          async act(job, evaluated, retry) {
            if (evaluated.verdict.failed.includes("training_in_flight") && !ended.done) {
              ended.done = true;
              await world.sql("UPDATE retraining_dispatches SET state = 'succeeded', ended_at = now()");
            }
            return processors.act(job, evaluated, retry);
          },
        }),
      },
    );
    await world.decide();
    await addCheck(world, { age: "1 minute" });
    // The client follows the superseded run to the one that re-evaluated.
    expect(await world.decide()).toMatchObject({ decision: "trigger" });
    expect((await world.decisions()).map(({ reason }) => reason)).toEqual([
      "drift_detected",
      "drift_detected",
    ]);
    const completed = await withQueue(world, "summarize", (queue) => queue.getJobs(["completed"]));
    const superseded = completed.map((job) => job.returnvalue as { decision: string; report: string });
    expect(superseded.find(({ decision }) => decision === "superseded")?.report).toContain(
      "the training that blocked it has ended",
    );
  });

  it(
    "is always followed by a re-evaluation when the training ends, whatever the timing",
    { timeout: 60_000 },
    async () => {
      await world.startApp();
      for (let round = 0; round < 5; round += 1) {
        world.github.course = { queuedMs: 0, runningMs: 900 + 40 * round, conclusion: "success" };
        const before = world.github.runs.length;
        await addCheck(world, { age: "1 minute" });
        const first = await world.decide();
        expect(first.decision).toBe("trigger");
        // Arrives while the training is ending, and needs a training of its own.
        await addCheck(world, { age: "1 minute" });
        await until("the training is about to end", async () => {
          const run = world.github.runs.at(-1);
          return run && Date.now() >= run.createdAt + run.course.runningMs - 60;
        });
        await world.decide();
        await until(
          "the second alert started a training",
          async () => world.github.runs.length >= before + 2,
        );
        await until("nothing is under way", async () => {
          const open = await world.sql(
            "SELECT FROM retraining_dispatches WHERE state IN ('pending', 'sent', 'running')",
          );
          return open.length === 0;
        });
      }
    },
  );

  it("gives its time limit, and the model is re-evaluated then even if the training never ends", async () => {
    world.github.course = LONG;
    await world.startApp({ timing: { lostAfterMs: 4_000 } });
    await world.decide();
    // From now on no job follows the training.
    await withQueue(world, "training", (queue) => queue.obliterate({ force: true }));
    await world.sql("UPDATE retraining_dispatches SET trainer = 'webhook'");
    await addCheck(world, { age: "1 minute" });
    const held = await world.decide();
    expect(held.reason).toBe("training_in_flight");
    expect(held.nextLookAt).not.toBeNull();
    expect(held.report).toContain("blocks the model until");
    expect(held.report).toContain("Next re-evaluation:");
    await until(
      "the model is released",
      async () => (await world.decisions()).at(-1)?.["decision"] === "trigger",
    );
    const [late] = await world.sql<{ late: number }>(
      "SELECT extract(epoch FROM taken_at - $1::timestamptz)::float8 AS late FROM retraining_decisions ORDER BY id DESC LIMIT 1",
      [held.nextLookAt],
    );
    expect(late?.late).toBeGreaterThanOrEqual(0);
    expect(late?.late).toBeLessThan(2);
  });
});
