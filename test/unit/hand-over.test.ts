import { expect, test } from "vitest";
import type { WeighedCheck } from "../../src/core/evidence.ts";
import { createHandOver } from "../../workers/bullmq/hand-over.ts";

const RUN = "0197d3c8-0000-7000-8000-000000000001";

function createTimed() {
  let now = 0;
  const handOver = createHandOver(() => now);
  return { handOver, advance: (ms: number) => (now += ms) };
}

test("hands a result to the next stage once", () => {
  const { handOver } = createTimed();
  const result = { evidence: { weighed: null } };
  handOver.offer(RUN, "gather", result);
  expect(handOver.take(RUN, "evaluate")).toBeUndefined();
  expect(handOver.take(RUN, "gather")).toBe(result);
  expect(handOver.take(RUN, "gather")).toBeUndefined();
});

test("forgets a result that another process took from Redis", () => {
  const { handOver, advance } = createTimed();
  handOver.offer(RUN, "gather", {});
  advance(30_001);
  expect(handOver.take(RUN, "gather")).toBeUndefined();
});

test("keeps a few results, and makes room once they have expired", () => {
  const { handOver, advance } = createTimed();
  for (let index = 0; index < 3_000; index += 1) handOver.offer(`run-${index}`, "act", { index } as object);
  const taken = Array.from({ length: 3_000 }, (_, index) => handOver.take(`run-${index}`, "act"));
  expect(taken.filter((result) => result !== undefined)).toHaveLength(1_000);
  expect(taken[0]).toEqual({ index: 0 });
  for (let index = 0; index < 1_000; index += 1) handOver.offer(`lost-${index}`, "act", {});
  advance(30_001);
  handOver.offer("late", "act", { isLate: true } as object);
  expect(handOver.take("late", "act")).toEqual({ isLate: true });
});

test("leaves a large result to Redis", () => {
  const { handOver } = createTimed();
  const check = { id: "1", at: "2026-01-01T00:00:00Z" } as WeighedCheck;
  handOver.offer(RUN, "gather", { evidence: { weighed: Array.from({ length: 101 }, () => check) } });
  expect(handOver.take(RUN, "gather")).toBeUndefined();
});
