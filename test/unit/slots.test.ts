import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { createSlots } from "../../src/process/slots.ts";

describe("slots", () => {
  it("never exceed the limit, whatever is taken and released, even twice", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 5 }),
        fc.array(fc.oneof(fc.constant("take" as const), fc.nat({ max: 9 }))),
        (limit, steps) => {
          const slots = createSlots(limit);
          const releases: (() => void)[] = [];
          const held = new Set<number>();
          for (const step of steps) {
            if (step === "take") {
              const release = slots.take();
              expect(release === null).toBe(held.size === limit);
              if (release) held.add(releases.push(release) - 1);
            } else if (step < releases.length) {
              releases[step]?.();
              held.delete(step);
            }
          }
        },
      ),
    );
  });
});
