import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { evaluate } from "../../src/core/evaluate.ts";
import { evidenceOf, GUIDE_POLICY, guideEvidence } from "../support/evidence.ts";

describe("evaluate", () => {
  it.each([
    {
      title: "triggers on the guide's own state",
      checks: 3,
      triggered: 1,
      ratings: 700_000,
      reason: "drift_detected",
    },
    {
      title: "holds with drift and too few ratings",
      checks: 3,
      triggered: 1,
      ratings: 30_000,
      reason: "insufficient_buffer",
    },
    { title: "holds without drift", checks: 3, triggered: 0, ratings: 100_000, reason: "no_drift_alerts" },
    {
      title: "holds without any recent check",
      checks: 0,
      triggered: 0,
      ratings: 700_000,
      reason: "no_recent_drift_checks,no_drift_alerts",
    },
    {
      title: "triggers at exactly the minimum",
      checks: 1,
      triggered: 1,
      ratings: 50_000,
      reason: "drift_detected",
    },
    {
      title: "holds when the buffer is one rating short",
      checks: 1,
      triggered: 1,
      ratings: 49_999,
      reason: "insufficient_buffer",
    },
    {
      title: "names every failed criterion",
      checks: 0,
      triggered: 0,
      ratings: 0,
      reason: "no_recent_drift_checks,no_drift_alerts,insufficient_buffer",
    },
  ])("$title", ({ reason, ...figures }) => {
    const verdict = evaluate(evidenceOf(figures), GUIDE_POLICY);
    expect(verdict.reason).toBe(reason);
    expect(verdict.decision).toBe(reason === "drift_detected" ? "trigger" : "no_action");
  });

  it("takes score and feature from the newest triggered alert", () => {
    expect(evaluate(guideEvidence(), GUIDE_POLICY)).toMatchObject({
      driftScore: 0.0975,
      feature: "rating_distribution_ks",
    });
  });

  it("holds an alert that a training already answered, unless the guard is off", () => {
    const answered = evidenceOf({ checks: 3, triggered: 1, unanswered: 0, ratings: 700_000 });
    expect(evaluate(answered, GUIDE_POLICY)).toMatchObject({
      decision: "no_action",
      reason: "already_acted_on",
      driftScore: null,
    });
    expect(evaluate(answered, { ...GUIDE_POLICY, retriggerGuard: false }).decision).toBe("trigger");
  });

  it("needs as many unanswered alerts as alerts are required", () => {
    const policy = { ...GUIDE_POLICY, minAlertsTriggered: 2 };
    const weigh = (triggered: number, unanswered: number) =>
      evaluate(evidenceOf({ checks: 9, triggered, unanswered, ratings: 50_000 }), policy).reason;
    expect(weigh(1, 1)).toBe("no_drift_alerts");
    expect(weigh(2, 2)).toBe("drift_detected");
    expect(weigh(3, 1)).toBe("already_acted_on");
  });

  const figures = fc.record({
    checks: fc.nat(50),
    triggered: fc.nat(20),
    unanswered: fc.nat(20),
    ratings: fc.nat(2_000_000),
  });
  const policies = fc.record({
    minBufferSize: fc.nat(1_000_000),
    lookbackHours: fc.integer({ min: 1, max: 1000 }),
    minAlertsTriggered: fc.integer({ min: 1, max: 10 }),
    retriggerGuard: fc.boolean(),
  });

  it("triggers exactly when all criteria pass and the guard allows it", () => {
    fc.assert(
      fc.property(figures, policies, (given, policy) => {
        const unanswered = Math.min(given.unanswered, given.triggered);
        const evidence = evidenceOf({ ...given, unanswered });
        const verdict = evaluate(evidence, policy);
        const expected =
          given.checks >= 1 &&
          given.triggered >= policy.minAlertsTriggered &&
          given.ratings >= policy.minBufferSize &&
          (!policy.retriggerGuard || unanswered >= policy.minAlertsTriggered);
        expect(verdict.decision).toBe(expected ? "trigger" : "no_action");
        expect(verdict.failed.length === 0).toBe(expected);
        expect(evaluate(evidence, policy)).toEqual(verdict);
      }),
    );
  });

  it("never turns a trigger off because more data arrived", () => {
    fc.assert(
      fc.property(figures, policies, fc.nat(1_000_000), (given, policy, more) => {
        const before = evaluate(evidenceOf({ ...given, unanswered: given.triggered }), policy);
        const after = evaluate(
          evidenceOf({ ...given, unanswered: given.triggered, ratings: given.ratings + more }),
          policy,
        );
        if (before.decision === "trigger") expect(after.decision).toBe("trigger");
      }),
    );
  });
});
