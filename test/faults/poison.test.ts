import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { INBOX_JOBS } from "../../queues/names.ts";
import { until } from "../support/world.ts";
import type { Field } from "./field.ts";
import { type Lane, openLane } from "./lane.ts";

const OTHERS = ["a", "b", "c", "d"];

let lane: Lane;
beforeAll(async () => {
  lane = await openLane();
}, 60_000);
afterAll(() => lane.close());

/** A supervisor: starts the worker again whenever it dies. Answers how often it died. */
function supervise(field: Field, settings: Record<string, string>) {
  const over = new AbortController();
  const { signal } = over;
  let deaths = 0;
  const running = (async () => {
    while (!signal.aborted) {
      const worker = await field.startWorker({ poisonModel: "poison" }, settings);
      await Promise.race([worker.ended, once(signal, "abort")]);
      if (worker.hasEnded()) deaths += 1;
    }
  })();
  return {
    async end(): Promise<number> {
      over.abort();
      await running;
      return deaths;
    },
  };
}

describe("a job that kills its worker every time", () => {
  it(
    "is failed after a few tries, and the slow jobs beside it are not failed with it",
    { timeout: 150_000 },
    async () => {
      const field = await lane.openField({ readingMs: 1_500 });
      const file = join(field.directory, "models.yaml");
      writeFileSync(file, `models: { poison: {}, ${OTHERS.map((name) => `${name}: {}`).join(", ")} }`);
      const supervisor = supervise(field, { RETRIGGER_CONFIG: file });
      for (const model of [...OTHERS, "poison"])
        await field.producer.send(INBOX_JOBS.event, { runId: `drift-${model}`, model });

      const gather = `${field.settings["REDIS_PREFIX"]}:gather`;
      const failed = await until(
        "the poison is failed",
        async () => (await field.redis.zrange(`${gather}:failed`, "0", "-1"))[0],
        90_000,
      );
      const reason = await field.redis.hget(`${gather}:${failed}`, "failedReason");
      expect(reason).toContain("stalled more than allowable limit");
      await until(
        "the others decided",
        async () => (await field.sql("SELECT FROM retraining_decisions")).length === OTHERS.length,
        60_000,
      );
      expect(await field.redis.zcard(`${gather}:failed`)).toBe(1);
      await until("the poison's lock is given back or lapsed", async () => {
        const keys = await field.redis.keys(`${field.settings["REDIS_PREFIX"]}:decision-lock:*`);
        return keys.length === 0;
      });
      const deaths = await supervisor.end();
      expect(deaths).toBeGreaterThanOrEqual(2);
      expect(deaths).toBeLessThanOrEqual(5);
      expect(await field.close()).toEqual([]);
    },
  );
});
