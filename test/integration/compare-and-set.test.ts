import { afterEach, describe, expect, it } from "vitest";
import { INBOX_JOBS } from "../../queues/names.ts";
import { addCheck, createWorld, holdTable, IN_THIS_DATABASE, until, type World } from "../support/world.ts";
import { listKeys } from "../support/redis-keys.ts";

let world: World;
afterEach(() => world.close());

describe("a run that loses the lock before it decides", () => {
  it("records nothing if another run decided first and reports it, and a follow-up re-evaluates", async () => {
    world = await createWorld({ settings: { MIN_BUFFER_SIZE: "0" } });
    await world.startApp();
    await addCheck(world);
    const hold = await holdTable(world, "ratings_buffer");
    const deciding = world.decide({ runId: "slow" });
    await hold.untilSessionWaits();
    // As in a failover of Redis.
    await world.redis.del(`${world.config.redisPrefix}:decision-lock:default`);
    const other = world.decide({ runId: "other" });
    await until("both runs gather", async () => {
      const waiting = await world.sql(
        `SELECT FROM pg_locks WHERE NOT granted AND relation = 'ratings_buffer'::regclass AND ${IN_THIS_DATABASE}`,
      );
      return waiting.length === 2;
    });
    await hold.release();
    const summaries = await Promise.all([deciding, other]);

    const rows = await world.sql<{ id: number; decision: string; previous_id: number | null }>(
      "SELECT id, decision, previous_id FROM retraining_decisions ORDER BY id",
    );
    expect(rows.map(({ decision }) => decision)).toEqual(["trigger_mock", "no_action"]);
    expect(rows.map(({ previous_id }) => previous_id)).toEqual([null, rows[0]?.id]);
    // Both events lead to a decision, that of the superseded run to the decision of the follow-up.
    expect(new Set(summaries.map(({ decisionId }) => decisionId))).toEqual(new Set(rows.map(({ id }) => id)));
    const counts = await world.sql(
      "SELECT run_id FROM retraining_events WHERE run_id NOT IN (SELECT run_id FROM retraining_decisions WHERE run_id IS NOT NULL)",
    );
    expect(counts).toEqual([]);
  });
});

describe("a run that is started again after it decided", () => {
  it("reports the decision that it recorded, and records no second one", async () => {
    world = await createWorld({ settings: { MIN_BUFFER_SIZE: "0" } });
    await world.startApp();
    await addCheck(world);
    const { runId, decisionId } = await world.decide();
    // Redis has lost the chain, and a pending follow-up starts it again.
    await world.redis.del(await listKeys(world.redis, `${world.config.redisPrefix}:*`));
    const jobId = await world.client.send(INBOX_JOBS.followup, {
      model: "default",
      runId,
      because: "missing",
    });
    expect(await world.client.waitForDecision(jobId, { limitMs: 20_000 })).toMatchObject({
      runId,
      decisionId,
      decision: "trigger_mock",
    });
    expect(await world.sql("SELECT FROM retraining_decisions")).toHaveLength(1);
  });
});
