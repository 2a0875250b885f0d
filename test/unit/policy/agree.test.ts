import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { judge } from "../../../src/core/judge.ts";
import { cases, runsOf } from "./arbitraries.ts";
import { decide } from "./second-evaluator.ts";

describe("a second evaluator, written from the documentation alone,", () => {
  it("agrees on the decision and the failed checks, now and later", { timeout: 600_000 }, () => {
    const laters = fc.constantFrom(0, 1, 1_000, 3_600_000, 86_400_000, 7 * 86_400_000, 31 * 86_400_000);
    const seen = { trigger: 0, no_action: 0 };
    fc.assert(
      fc.property(cases, laters, ({ policy, evidence }, later) => {
        const now = Date.parse(evidence.takenAt) + later;
        const { decision, failed, reason } = judge(evidence, policy, now);
        expect({ decision, failed, reason }).toEqual(decide(evidence, policy, now));
        seen[decision] += 1;
      }),
      { numRuns: runsOf(1_500) },
    );
    // Random policies that never trigger would prove little.
    expect(seen.trigger).toBeGreaterThan(runsOf(1_500) / 20);
  });
});
