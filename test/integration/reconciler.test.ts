import { afterEach, beforeEach, describe, expect, it } from "vitest";
import {
  closeGitHubWorld,
  createGitHubWorld,
  type GitHubWorld,
  stopWhileActWaits,
} from "../support/github-world.ts";
import { addCheck, until, withQueue } from "../support/world.ts";
import { listKeys } from "../support/redis-keys.ts";

let world: GitHubWorld;
beforeEach(async () => {
  world = await createGitHubWorld({ TRAINING_BACKOFF_SECONDS: "3600" });
});
afterEach(() => closeGitHubWorld(world));

const BAD = { queuedMs: 0, runningMs: 100, conclusion: "failure" };
const emptyRedis = async () => world.redis.del(await listKeys(world.redis, `${world.config.redisPrefix}:*`));
const latest = async () => (await world.decisions()).at(-1);

/** Fails a training, and waits for the decision that holds its alerts back. */
async function failTraining(): Promise<void> {
  world.github.course = BAD;
  await world.startApp();
  const { runId } = await world.decide();
  await world.waitForTraining(runId);
  await until(
    "a decision has seen the failure",
    async () => (await latest())?.["reason"] === "retry_backoff",
  );
}

/** Stops the service while one decision waits for the end of a backoff. */
async function stopDuringBackoff(): Promise<void> {
  await failTraining();
  await world.stopApps();
}

describe("the reconciler", () => {
  it("waits for no counter that is folded, or the service would not start", async () => {
    await world.startApp(
      {},
      {
        replaceParts: (parts) => ({
          ...parts,
          database: { ...parts.database, sweepCounters: () => new Promise<never>(() => {}) },
        }),
      },
    );
    expect((await world.decide()).decisionId).toBe(1);
  });

  it("requests the evaluation that is overdue because the run of a scheduled follow-up failed", async () => {
    await stopDuringBackoff();
    // The follow-up's job has run, and is all that is left of it.
    await withQueue(world, "drift_monitoring", async (inbox) => {
      const jobs = await inbox.getJobs(["delayed"]);
      for (const job of jobs.filter(({ name }) => name === "next-look")) await job.remove();
      await inbox.add("next-look", { model: "default" }, { jobId: jobs[0]?.id ?? "none", delay: 86_400_000 });
    });
    await world.sql(
      "UPDATE retraining_decisions SET next_look_at = now() - interval '2 minutes' WHERE next_look_at IS NOT NULL",
    );
    await world.startApp();
    await until("another decision", async () => (await world.decisions()).length === 3);
    expect(await latest()).toMatchObject({ cause: "followup", reason: "retry_backoff" });
  });

  it("requests the evaluation after a training that ended just before Redis was emptied", async () => {
    world.github.course = { queuedMs: 0, runningMs: 600_000, conclusion: "success" };
    await world.startApp();
    await world.decide();
    await addCheck(world, { age: "1 minute" });
    expect((await world.decide()).reason).toBe("training_in_flight");
    await world.stopApps();
    // The end was recorded, but the worker died and Redis was emptied before the follow-up was requested.
    await world.sql(
      "UPDATE retraining_dispatches SET state = 'succeeded', ended_at = now(), updated_at = now() - interval '1 minute'",
    );
    await world.sql("UPDATE retraining_decisions SET taken_at = taken_at - interval '1 minute'");
    await emptyRedis();
    await world.startApp();
    await until("the new alert started a training", async () => world.github.runs.length === 2);
  });

  it("requests the evaluation after a cancelled dispatch whose follow-up was lost", async () => {
    await stopWhileActWaits(world);
    await world.sql(
      `UPDATE retraining_dispatches SET state = 'cancelled', reason_code = 'evidence_too_old', asked_at = NULL,
         updated_at = now() - interval '1 minute'`,
    );
    await emptyRedis();
    await world.startApp();
    await until("another decision's training", async () => world.github.runs.length === 1);
  });

  it("ignores the follow-up of a removed model without raising an alarm, and resumes it when the model is back", async () => {
    await stopDuringBackoff();
    await withQueue(world, "drift_monitoring", async (inbox) => {
      for (const job of await inbox.getJobs(["delayed"])) await job.promote();
    });
    const [own] = world.config.models.values();
    if (!own) throw new Error("The settings name no model");
    // As if a quarter of an hour had passed, when the old service is no longer expected to restart.
    await world.redis.del(`${world.config.redisPrefix}:model-claims`);
    await world.startApp({ models: new Map([["another", own]]) });
    await withQueue(world, "drift_monitoring", (inbox) =>
      until("the follow-up was processed", async () => {
        const jobs = await inbox.getJobs(["completed"]);
        return jobs.some(
          ({ returnvalue }) => (returnvalue as { outcome?: string }).outcome === "model_removed",
        );
      }),
    );
    await world.stopApps();
    await world.sql(
      "UPDATE retraining_decisions SET next_look_at = now() - interval '2 minutes' WHERE next_look_at IS NOT NULL",
    );
    await world.startApp();
    await until("another decision", async () => (await world.decisions()).length === 3);
  });
});

describe("the time of the next evaluation", () => {
  it("is not brought forward when clocks are set back in autumn", async () => {
    await closeGitHubWorld(world);
    world = await createGitHubWorld({ TRAINING_BACKOFF_SECONDS: "600", SOURCE_TIME_ZONE: "Europe/Berlin" });
    // During the hour that local time repeats.
    const { pathname } = new URL(world.config.databaseUrl);
    await world.sql(
      `CREATE FUNCTION public.now() RETURNS timestamptz STABLE LANGUAGE sql AS
       $$ SELECT '2026-10-25T00:10:00Z'::timestamptz + (pg_catalog.now() - '${new Date().toISOString()}'::timestamptz) $$`,
    );
    await world.sql(`ALTER DATABASE ${pathname.slice(1)} SET search_path TO public, pg_catalog`);
    await world.sql("UPDATE drift_alerts SET alert_date = '2026-10-24 12:00:00'");
    await failTraining();
    const followUps = await withQueue(world, "drift_monitoring", (inbox) => inbox.getJobs(["delayed"]));
    expect(followUps.map(({ name }) => name)).toEqual(["next-look"]);
    expect(followUps[0]?.delay).toBeGreaterThan(500_000);
  });
});

describe("a decision table with a drift score of another type", () => {
  it.each(["REAL", "NUMERIC(6,4)"])("%s: the request is still sent", async (type) => {
    await world.sql(
      `DO $$ DECLARE name text; BEGIN
         FOR name IN SELECT tablename FROM pg_tables WHERE tablename ~ '^(retraining|retrigger)_' LOOP
           EXECUTE format('DROP TABLE %I CASCADE', name);
         END LOOP;
       END $$`,
    );
    await world.sql(
      `CREATE TABLE retraining_decisions (id SERIAL PRIMARY KEY, decision_date TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
         decision VARCHAR(20), reason TEXT, buffer_size INTEGER, drift_score ${type}, notes TEXT)`,
    );
    await world.sql("UPDATE drift_alerts SET drift_score = 0.123456789123");
    await world.startApp();
    expect((await world.decide()).dispatch?.state).toBe("sent");
    expect(world.github.runs[0]?.inputs["drift_score"]).toBe("0.123456789123");
  });
});

describe("a decision that the previous version writes during an upgrade", () => {
  it("still counts as having acted on its alerts", async () => {
    await world.startApp();
    await world.decide();
    await world.sql(
      `INSERT INTO retraining_decisions (run_id, model, cause, decision, reason, buffer_size, trainer, evidence, alert_ids, previous_id)
       SELECT gen_random_uuid(), model, cause, decision, reason, buffer_size, trainer, evidence, alert_ids, id
       FROM retraining_decisions`,
    );
    const [old] = await world.sql("SELECT * FROM retraining_decisions ORDER BY id DESC LIMIT 1");
    expect(old).toMatchObject({
      reason_codes: ["drift_detected"],
      taken_at: expect.any(Date) as Date,
      newest_alert_at: expect.any(Date) as Date,
    });
  });
});

describe("a refused request that is retried manually once", () => {
  it("is sent again once, even if the attempts of that retry fail", async () => {
    world.github.next = ["401", "401", "401", "401"];
    let failures = 0;
    await world.startApp(
      {},
      {
        replaceProcessors: (processors) => ({
          ...processors,
          async act(job, evaluated, retry) {
            const output = await processors.act(job, evaluated, retry);
            if (failures > 0) {
              failures -= 1;
              throw new Error("the worker died here");
            }
            return output;
          },
        }),
      },
    );
    const { runId } = await world.decide();
    failures = 3;
    await withQueue(world, "act", async (queue) => {
      await (await queue.getJob(runId))?.retry("completed");
      await until(
        "the retry has ended",
        async () => failures === 0 && (await queue.getJobState(runId)) === "completed",
      );
    });
    expect(world.github.dispatches()).toHaveLength(2);
    // The next manual retry sends the request again.
    await until("the mark of the manual retry is removed", () =>
      withQueue(
        world,
        "act",
        async (queue) => JSON.stringify((await queue.getJob(runId))?.progress) === "{}",
      ),
    );
    await withQueue(world, "act", async (queue) => (await queue.getJob(runId))?.retry("completed"));
    await until("it is sent a third time", async () => world.github.dispatches().length === 3);
  });
});
