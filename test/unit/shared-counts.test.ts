import { describe, expect, it } from "vitest";
import { GUIDE_POLICY, Policy } from "../../src/core/policy.ts";
import { createSharedCounts } from "../../src/postgres/shared-counts.ts";
import { GUIDE_SOURCES } from "../support/sources.ts";

const slow = (model: string) => ({ model, elapsedMs: 300, isCountAlone: false });
const quick = (model: string) => ({ model, elapsedMs: 20, isCountAlone: false });

describe("a count that models may share", () => {
  it("is shared once it was slow, and then by another model than the one that saw it", () => {
    const counts = createSharedCounts();
    counts.learn("a", quick("m1"));
    expect(counts.isShared("a", "m2")).toBe(false);
    counts.learn("a", slow("m1"));
    expect(counts.isShared("a", "m1")).toBe(false);
    expect(counts.isShared("a", "m2")).toBe(true);
    expect(counts.isShared("b", "m2")).toBe(false);
    counts.learn("a", slow("m2"));
    expect(counts.isShared("a", "m1")).toBe(true);
  });

  it("is not shared for an hour once the count alone was quick, however slow the rest is", () => {
    let now = 0;
    const counts = createSharedCounts(() => now);
    counts.learn("a", slow("m1"));
    counts.learn("a", { ...quick("m2"), isCountAlone: true });
    counts.learn("a", slow("m1"));
    expect(counts.isShared("a", "m2")).toBe(false);
    now = 3_600_000;
    counts.learn("a", slow("m1"));
    expect(counts.isShared("a", "m2")).toBe(true);
  });

  it("never begins before it was asked for, and fails only for those who asked for it", async () => {
    const counts = createSharedCounts();
    const ends: ((result: string | Error) => void)[] = [];
    const count = (): Promise<string> =>
      new Promise((resolve, reject) =>
        ends.push((result) => (result instanceof Error ? reject(result) : resolve(result))),
      );
    const first = counts.join("a", count);
    const others = [counts.join("a", count), counts.join("a", count)];
    expect(ends).toHaveLength(1);
    ends[0]?.(new Error("too slow"));
    await expect(first).rejects.toThrow("too slow");
    expect(ends).toHaveLength(2);
    const late = counts.join("a", count);
    ends[1]?.("second");
    expect(await Promise.all(others)).toEqual(["second", "second"]);
    ends[2]?.("third");
    expect(await late).toBe("third");
  });

  it("has the same key for the same rows, and none if a model counts since its own training", () => {
    const counts = createSharedCounts();
    const keyOf = (buffer: object, policy = GUIDE_POLICY) =>
      counts.keyOf({ policy, source: { ...GUIDE_SOURCES, buffer: { ...GUIDE_SOURCES.buffer, ...buffer } } });
    expect(keyOf({ unit: "rows" })).toBe(keyOf({}));
    expect(keyOf({ where: { a: 1 } })).not.toBe(keyOf({}));
    expect(keyOf({ since: "lastTraining" })).toBeNull();
    expect(keyOf({}, Policy.parse({ when: { bufferGrowth: 1 } }))).toBeNull();
  });
});
