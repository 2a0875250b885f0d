import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { evaluate } from "../../../src/core/evaluate.ts";
import type { Evidence } from "../../../src/core/evidence.ts";
import type { Change } from "../../../src/core/explain/explanation.ts";
import { judge } from "../../../src/core/judge.ts";
import type { Policy } from "../../../src/core/policy.ts";
import { applyChanges } from "./apply-changes.ts";
import { cases, runsOf } from "./arbitraries.ts";
import { decide } from "./second-evaluator.ts";

const RUNS = runsOf(250);
const FIGURES = ["score", "cusum_score", "unusual_score", "lower_scores"];

/** The decision once changes have come true, on which both evaluators must agree. */
function decideAfter(evidence: Evidence, policy: Policy, changes: readonly Change[], now?: number): string {
  const changed = applyChanges(evidence, policy, changes, now);
  const at = changed.now;
  const { decision } = judge(changed.evidence, policy, at);
  expect(decision).toBe(decide(changed.evidence, policy, at).decision);
  return decision;
}

/** Every part of a flip but the whole of it. */
function listParts(changes: readonly Change[]): Change[][] {
  const parts = changes.reduce<Change[][]>(
    (all, change) => [...all, ...all.map((part) => [...part, change])],
    [[]],
  );
  return parts.filter((part) => part.length < changes.length);
}

/** The next smaller size of a change. */
function shrink({ kind, size = 0 }: Change): number {
  return FIGURES.includes(kind) ? nextDown(size) : size - 1;
}

/** The next smaller number above 0, to the last bit. */
function nextDown(figure: number): number {
  const view = new DataView(new ArrayBuffer(8));
  view.setFloat64(0, figure);
  view.setBigInt64(0, view.getBigInt64(0) - 1n);
  return view.getFloat64(0);
}

describe("a flip", () => {
  const seen = { trigger: 0, no_action: 0, timed: 0, several: 0 };

  it("turns the verdict, and neither a part of it nor a smaller change does", { timeout: 3_600_000 }, () => {
    fc.assert(
      fc.property(cases, fc.double({ min: 0, max: 1, noNaN: true }), ({ policy, evidence }, moment) => {
        const { decision, explanation } = evaluate(evidence, policy);
        const flips = explanation?.nearestFlips ?? [];
        seen[decision] += Number(flips.length > 0);
        for (const { changes } of flips) {
          seen.several += Number(changes.length > 1);
          expect(decideAfter(evidence, policy, changes)).not.toBe(decision);
          for (const part of listParts(changes)) expect(decideAfter(evidence, policy, part)).toBe(decision);
          for (const [index, change] of changes.entries()) {
            if (change.kind === "time") {
              seen.timed += 1;
              const start = Date.parse(evidence.takenAt);
              const before = Date.parse(change.at ?? "") - 1000;
              for (const now of [before, start + Math.floor(moment * (before - start))])
                if (now >= start) expect(decideAfter(evidence, policy, changes, now)).toBe(decision);
            } else if (change.size !== undefined && change.size > 0) {
              const smaller = changes.with(index, { ...change, size: shrink(change) });
              expect(decideAfter(evidence, policy, smaller)).toBe(decision);
            }
          }
        }
      }),
      { numRuns: RUNS },
    );
  });

  it("was found for most verdicts, of every form", () => {
    expect(seen.no_action).toBeGreaterThan(RUNS / 3);
    expect(seen.trigger).toBeGreaterThan(RUNS / 20);
    expect(seen.timed).toBeGreaterThan(RUNS / 20);
    expect(seen.several).toBeGreaterThan(RUNS / 20);
  });
});
