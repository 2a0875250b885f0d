import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { evaluate } from "../../../src/core/evaluate.ts";
import { Evidence } from "../../../src/core/evidence.ts";
import { judge } from "../../../src/core/judge.ts";
import { GUIDE_POLICY, parsePolicy } from "../../../src/core/policy.ts";
import { guideEvidence } from "../../support/evidence.ts";
import { cases, runsOf } from "./arbitraries.ts";
import { decide } from "./second-evaluator.ts";

/** An end of this guard begins a new request: it is looked at again, but does not pass by itself. */
const RENEWED = "awaiting_approval";
/** Longer than every duration in the random policies. */
const HORIZON_MS = 200 * 86_400_000;

describe("the next look", () => {
  it("is no later than the first instant at which a failed check passes", { timeout: 3_600_000 }, () => {
    const moments = fc.array(fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true }), { maxLength: 8 });
    const seen = { timed: 0, never: 0 };
    fc.assert(
      fc.property(cases, moments, ({ policy, evidence }, shares) => {
        const { decision, failed, nextLookAt } = judge(evidence, policy);
        const now = Date.parse(evidence.takenAt);
        const later = (time: number) => decide(evidence, policy, time);
        if (decision === "trigger") {
          expect(nextLookAt).toBeNull();
          return;
        }
        const end = nextLookAt === null ? now + HORIZON_MS : Date.parse(nextLookAt);
        expect(end).toBeGreaterThan(now);
        // Until then, nothing turns by itself, up to the millisecond before.
        for (const time of [...shares.map((share) => now + Math.floor(share * (end - now))), end - 1])
          expect(later(time).decision).toBe("no_action");
        if (nextLookAt === null) seen.never += 1;
        else if (!failed.includes(RENEWED)) seen.timed += 1;
      }),
      { numRuns: runsOf(400) },
    );
    expect(seen.timed).toBeGreaterThan(runsOf(400) / 10);
    expect(seen.never).toBeGreaterThan(runsOf(400) / 50);
  });

  it("is an instant at which a check passes that fails now", { timeout: 3_600_000 }, () => {
    fc.assert(
      fc.property(cases, ({ policy, evidence }) => {
        const { failed, nextLookAt, criteria, guards } = judge(evidence, policy);
        if (nextLookAt === null || failed.includes(RENEWED)) return;
        const end = Date.parse(nextLookAt);
        const after = judge(evidence, policy, end);
        const later = [...after.criteria, ...after.guards];
        const turned = [...criteria, ...guards].filter(
          ({ passed }, index) => !passed && later[index]?.passed,
        );
        expect(turned).not.toEqual([]);
      }),
      { numRuns: runsOf(400) },
    );
  });
});

describe("the next look of a trigger", () => {
  const evidence = Evidence.parse({ ...guideEvidence(), takenAt: "2025-12-21T15:30:00Z" });
  const lookOf = (when: unknown, own: Evidence = evidence): string | null => {
    const { decision, nextLookAt } = evaluate(own, parsePolicy({ when }, GUIDE_POLICY, [], []));
    expect(decision).toBe("trigger");
    return nextLookAt;
  };
  const maxAge = { maxAge: "60d" };

  it("is when the model will have reached its maximum age, at the earliest", () => {
    const at = "2026-02-19T15:30:00.000Z";
    expect(lookOf({ any: [{ driftAlerts: 1 }, maxAge] })).toBe(at);
    const trainings = { ...evidence.trainings, firstDecisionAt: "2025-01-01T00:00:00Z" };
    expect(lookOf(maxAge, { ...evidence, trainings })).toBe(at);
  });

  it("is never, if only data calls for another training", () => {
    expect(lookOf({ driftAlerts: 1 })).toBeNull();
    expect(lookOf({ any: [{ bufferSize: 1 }, { bufferGrowth: 1 }, { waitingCost: 1 }] })).toBeNull();
  });
});
