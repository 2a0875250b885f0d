import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { buildFlow } from "../../queues/flow.ts";
import { computeBackoffMs } from "../../queues/options.ts";

describe("the chain", () => {
  it("runs gather, evaluate, act and summarize, each under the run's id", () => {
    const runId = "0193f2c0-0000-7000-8000-000000000001";
    let node = buildFlow({ runId, model: "default", cause: "event" });
    const order = [node.queueName];
    for (; node.children?.[0]; node = node.children[0]) {
      order.unshift(node.children[0].queueName);
      expect(node.opts?.jobId).toBe(runId);
    }
    expect(order).toEqual(["gather", "evaluate", "act", "summarize"]);
  });
});

describe("the backoff", () => {
  it("grows to ten seconds and never falls below a quarter of one", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 10_000 }),
        fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
        (attempt, random) => {
          const ms = computeBackoffMs(attempt, 10_000, random);
          expect(ms).toBeGreaterThanOrEqual(250);
          expect(ms).toBeLessThanOrEqual(10_000);
          expect(computeBackoffMs(attempt + 1, 10_000, random)).toBeGreaterThanOrEqual(ms);
        },
      ),
    );
  });
});
