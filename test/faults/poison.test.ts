import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { INBOX_JOBS } from "../../queues/names.ts";
import { until } from "../support/world.ts";
import { type Lane, openLane } from "./lane.ts";
import type { Sandbox } from "./sandbox.ts";
import { listKeys } from "../support/redis-keys.ts";

const OTHERS = ["a", "b", "c", "d"];

let lane: Lane;
beforeAll(async () => {
  lane = await openLane();
}, 60_000);
afterAll(() => lane.close());

/** Restarts the worker whenever it dies, as a supervisor does. Returns how often it died. */
function supervise(sandbox: Sandbox, settings: Record<string, string>) {
  const over = new AbortController();
  const { signal } = over;
  let deaths = 0;
  const running = (async () => {
    while (!signal.aborted) {
      const worker = await sandbox.startWorker({ poisonModel: "poison" }, settings);
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
    "fails after a few attempts, and the slow jobs beside it do not fail with it",
    { timeout: 300_000 },
    async () => {
      const sandbox = await lane.openSandbox({ readingMs: 1_500 });
      const file = join(sandbox.directory, "models.yaml");
      writeFileSync(file, `models: { poison: {}, ${OTHERS.map((name) => `${name}: {}`).join(", ")} }`);
      const supervisor = supervise(sandbox, { RETRIGGER_CONFIG: file });
      for (const model of [...OTHERS, "poison"])
        await sandbox.producer.send(INBOX_JOBS.event, { runId: `drift-${model}`, model });

      const gather = `${sandbox.settings["REDIS_PREFIX"]}:gather`;
      const failed = await until(
        "the job has failed",
        async () => (await sandbox.redis.zrange(`${gather}:failed`, "0", "-1"))[0],
        200_000,
      );
      const reason = await sandbox.redis.hget(`${gather}:${failed}`, "failedReason");
      expect(reason).toContain("stalled more than allowable limit");
      await until(
        "the other models have decided",
        async () => (await sandbox.sql("SELECT FROM retraining_decisions")).length === OTHERS.length,
        60_000,
      );
      expect(await sandbox.redis.zcard(`${gather}:failed`)).toBe(1);
      await until("the job's decision lock is released or has expired", async () => {
        const keys = await listKeys(sandbox.redis, `${sandbox.settings["REDIS_PREFIX"]}:decision-lock:*`);
        return keys.length === 0;
      });
      const deaths = await supervisor.end();
      expect(deaths).toBeGreaterThanOrEqual(2);
      expect(deaths).toBeLessThanOrEqual(5);
      expect(await sandbox.close()).toEqual([]);
    },
  );
});
