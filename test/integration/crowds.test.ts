import { afterEach, describe, expect, it } from "vitest";
import { INBOX, INBOX_JOBS } from "../../queues/names.ts";
import { withoutLock } from "../faults/without-lock.ts";
import { addCheck, createWorld, until, type World } from "../support/world.ts";

let world: World;
afterEach(() => world.close());

interface Row {
  id: number;
  run_id: string;
  cause: string;
  previous_id: number | null;
  seen_id: number | null;
  taken: number;
}

const listDecisions = () =>
  world.sql<Row>(
    `SELECT id, run_id, cause, previous_id, (evidence #>> '{lastDecisions,0,id}')::integer AS seen_id,
       floor(extract(epoch FROM (evidence ->> 'takenAt')::timestamptz) * 1000)::float8 AS taken
     FROM retraining_decisions ORDER BY id`,
  );

/** Waits until all of these inbox jobs have ended, and returns their results. */
async function waitForIntake(ids: string[]): Promise<{ outcome: string; runId: string }[]> {
  const prefix = `${world.config.redisPrefix}:${INBOX}`;
  await until(
    "the inbox is empty",
    async () => (await world.redis.zcard(`${prefix}:completed`)) >= ids.length,
  );
  // The completed jobs include follow-ups, so some of these jobs may still be active.
  const values = await until("each job has a result", async () => {
    const read = ids.map((id) => ["hget", `${prefix}:${id}`, "returnvalue"]);
    const results = ((await world.redis.pipeline(read).exec()) ?? []).map(([, value]) => value);
    return results.every((value) => typeof value === "string") ? results : null;
  });
  return values.map((value) => JSON.parse(value) as { outcome: string; runId: string });
}

describe("fifty concurrent runs without the lock", () => {
  it("make a single chain of decisions, each of which has seen the previous one; the others are superseded, and one follow-up re-evaluates", async () => {
    world = await createWorld({ settings: { MIN_BUFFER_SIZE: "0", RETRIGGER_GUARD: "off" } });
    await addCheck(world);
    await world.startApp({}, { replaceParts: (parts) => ({ ...parts, lock: withoutLock(parts.lock) }) });
    const jobs = await world.client.inbox.addBulk(
      Array.from({ length: 50 }, (_, index) => ({
        name: INBOX_JOBS.event,
        data: { runId: `drift-${index}` },
      })),
    );
    const intakes = await waitForIntake(jobs.map(({ id }) => String(id)));
    expect(new Set(intakes.map(({ runId }) => runId)).size).toBe(50);
    const summaries = await Promise.all(
      jobs.map(({ id }) => world.client.waitForDecision(String(id), { limitMs: 25_000 })),
    );

    const rows = await listDecisions();
    expect(rows.map(({ previous_id }) => previous_id)).toEqual([
      null,
      ...rows.slice(0, -1).map(({ id }) => id),
    ]);
    expect(rows.map(({ seen_id }) => seen_id)).toEqual(rows.map(({ previous_id }) => previous_id));
    const followUps = rows.filter(({ cause }) => cause === "followup");
    expect(followUps).toHaveLength(1);
    expect(rows.at(-1)).toEqual(followUps[0]);
    // Every event is covered by a decision, most of them by that of the follow-up.
    const decided = new Set(summaries.map(({ runId }) => runId));
    expect(decided).toEqual(new Set(rows.map(({ run_id }) => run_id)));
    const superseded = 50 - (rows.length - 1);
    expect(superseded).toBeGreaterThan(0);
    expect(
      await world.sql("SELECT FROM retraining_events WHERE run_id = $1", [followUps[0]?.run_id]),
    ).toHaveLength(superseded);
  });
});

describe("ten thousand events for one model within a second", () => {
  it(
    "start a handful of runs, and each event's job names a run whose snapshot is younger than the event",
    { timeout: 120_000 },
    async () => {
      world = await createWorld({ settings: { MIN_BUFFER_SIZE: "0" } });
      await addCheck(world);
      await world.startApp();
      const sentFrom = Date.now();
      const jobs = await world.client.inbox.addBulk(
        Array.from({ length: 10_000 }, (_, index) => ({
          name: INBOX_JOBS.event,
          data: { runId: `drift-${index}` },
        })),
      );
      const sentUntil = Date.now();
      await until(
        "all events are processed",
        async () => (await world.redis.zcard(`${world.config.redisPrefix}:${INBOX}:completed`)) >= 10_000,
        90_000,
      );
      const intakes = await waitForIntake(jobs.map(({ id }) => String(id)));
      const covering = [...new Set(intakes.map(({ runId }) => runId))];
      expect(covering.length).toBeLessThanOrEqual(5);
      await until("all of them have decided", async () => {
        const known = new Set((await listDecisions()).map(({ run_id }) => run_id));
        return covering.every((runId) => known.has(runId));
      });
      const rows = await listDecisions();
      expect(rows.length).toBeLessThanOrEqual(6);
      const takenOf = new Map(rows.map(({ run_id, taken }) => [run_id, taken]));
      const older = intakes.filter(
        ({ runId }, index) => (takenOf.get(runId) ?? 0) < (jobs[index]?.timestamp ?? 0),
      );
      expect(older).toEqual([]);
      expect(sentUntil - sentFrom).toBeLessThan(5_000);
      const uncovered = await world.sql(
        "SELECT FROM retraining_events WHERE run_id NOT IN (SELECT run_id FROM retraining_decisions)",
      );
      expect(uncovered).toEqual([]);
    },
  );
});
