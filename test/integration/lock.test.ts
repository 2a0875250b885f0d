import { Queue } from "bullmq";
import { afterEach, describe, expect, it } from "vitest";
import {
  addCheck,
  addRatings,
  createWorld,
  failureOf,
  holdTable,
  until,
  type World,
} from "../support/world.ts";

let world: World;
afterEach(() => world.close());

const LOCK_TTL_MS = 1_000;

const lockKey = () => `${world.config.redisPrefix}:decision-lock:default`;

async function startWorld(): Promise<void> {
  world = await createWorld({ settings: { MIN_BUFFER_SIZE: "0", LOCK_TTL_MS: String(LOCK_TTL_MS) } });
  await addCheck(world);
  await world.startApp();
}

describe("the decision lock", () => {
  it("holds the run's id, outlives a gather of three TTLs, and is released at the end", async () => {
    await startWorld();
    const hold = await holdTable(world, "ratings_buffer");
    const deciding = world.decide();
    await hold.untilSessionWaits();
    const [active] = await world.sql<{ run_id: string }>("SELECT run_id FROM retraining_events");
    const until3Ttl = Date.now() + 3 * LOCK_TTL_MS;
    const seen = new Set<string | null>();
    while (Date.now() < until3Ttl) {
      seen.add(await world.redis.get(lockKey()));
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    expect([...seen]).toEqual([active?.run_id]);
    await hold.release();
    expect((await deciding).runId).toBe(active?.run_id);
    expect(await world.redis.exists(lockKey())).toBe(0);
  });

  it("is neither renewed nor released by a run that does not hold it", async () => {
    await startWorld();
    const hold = await holdTable(world, "ratings_buffer");
    const deciding = world.decide();
    await hold.untilSessionWaits();
    await world.redis.set(lockKey(), "another run", "PX", 60_000);
    await new Promise((resolve) => setTimeout(resolve, LOCK_TTL_MS));
    await hold.release();
    expect((await deciding).decision).toBe("trigger_mock");
    expect(await world.redis.get(lockKey())).toBe("another run");
    // Never prolonged either: a renewal would have set it to the run's TTL.
    expect(await world.redis.pttl(lockKey())).toBeGreaterThan(10_000);
  });

  it("is released if a stage fails for good, so that the next event decides at once", async () => {
    await startWorld();
    await world.sql("ALTER TABLE ratings_buffer RENAME TO hidden");
    expect(await failureOf(world.decide())).toContain("Missing table");
    await until("the lock is free", async () => (await world.redis.exists(lockKey())) === 0);
    await world.sql("ALTER TABLE hidden RENAME TO ratings_buffer");
    expect((await world.decide()).decision).toBe("trigger_mock");
  });

  it("is released by a superseded run before its report is written", async () => {
    await startWorld();
    await addRatings(world, 1);
    await world.sql("ALTER TABLE ratings_buffer RENAME TO ratings");
    await world.sql("CREATE VIEW ratings_buffer AS SELECT ratings.* FROM ratings, pg_sleep(1)");
    const deciding = world.decide();
    await until("the snapshot is taken", async () => {
      const reading = await world.sql(
        "SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep'",
      );
      return reading.length > 0;
    });
    // Another process decides meanwhile, with the row that a run without the lock would write.
    await world.sql(
      `INSERT INTO retraining_decisions (run_id, model, decision, reason, evidence)
       VALUES (gen_random_uuid(), 'default', 'no_action', 'by hand', json_build_object('takenAt', now()))`,
    );
    const queue = await pauseSummarize();
    await until("the lock is free", async () => (await world.redis.exists(lockKey())) === 0);
    await queue.resume();
    // The follow-up decides, and it has seen the other decision.
    expect((await deciding).decision).toBe("trigger_mock");
    expect(await world.sql("SELECT cause, previous_id FROM retraining_decisions ORDER BY id")).toEqual([
      { cause: null, previous_id: null },
      { cause: "followup", previous_id: 1 },
    ]);
  });
});

/** Keeps reports from being written until `resume`. */
async function pauseSummarize() {
  const queue = new Queue("summarize", {
    connection: world.redis,
    prefix: world.config.redisPrefix,
  });
  await queue.pause();
  return {
    async resume(): Promise<void> {
      await queue.resume();
      await queue.close();
    },
  };
}
