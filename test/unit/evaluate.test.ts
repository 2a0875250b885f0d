import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { evaluate } from "../../src/core/evaluate.ts";
import { policyOf, type PolicySettings } from "../../src/core/policy.ts";
import { renderCriteria } from "../../src/core/report/criteria.ts";
import { evidenceOf, GUIDE_POLICY, guideEvidence, guidePolicy } from "../support/evidence.ts";

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

  it("ignores an alert that a training has already acted on, unless the guard is off", () => {
    const answered = evidenceOf({ checks: 3, triggered: 1, unanswered: 0, ratings: 700_000 });
    expect(evaluate(answered, GUIDE_POLICY)).toMatchObject({
      decision: "no_action",
      reason: "already_acted_on",
      driftScore: null,
    });
    expect(evaluate(answered, guidePolicy({ retriggerGuard: false })).decision).toBe("trigger");
  });

  it("needs as many new alerts as the policy requires alerts", () => {
    const policy = guidePolicy({ minAlertsTriggered: 2 });
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
  const settings: fc.Arbitrary<PolicySettings> = fc.record({
    minBufferSize: fc.nat(1_000_000),
    lookbackHours: fc.integer({ min: 1, max: 1000 }),
    minAlertsTriggered: fc.integer({ min: 1, max: 10 }),
    retriggerGuard: fc.boolean(),
    inFlightGuard: fc.boolean(),
    backoffSeconds: fc.integer({ min: 1, max: 100_000 }),
  });
  const policies = settings.map(policyOf);

  const TAKEN_AT = Date.parse("2025-12-21T15:30:00Z");
  const at = (seconds: number) => new Date(TAKEN_AT + seconds * 1000).toISOString();
  const failures = fc.array(
    fc.record({
      decisionId: fc.nat(100),
      endedAt: fc.integer({ min: -700_000, max: 0 }).map(at),
      conclusion: fc.constantFrom("failure", "lost", null),
      failures: fc.integer({ min: 1, max: 8 }),
      alerts: fc.integer({ min: 1, max: 5 }),
    }),
    { maxLength: 4 },
  );
  const flights = fc.array(
    fc.record({
      decisionId: fc.nat(100),
      trainer: fc.constantFrom("github", "webhook"),
      state: fc.constantFrom("pending", "sent", "running", "unknown"),
      since: fc.constant(at(-100)),
      until: fc.option(fc.integer({ min: -1_000, max: 100_000 }).map(at)),
      url: fc.constant(null),
    }),
    { maxLength: 3 },
  );
  const states = fc.tuple(figures, failures, flights).map(([given, failed, inFlight]) => {
    const heldBack = failed.reduce((sum, { alerts }) => sum + alerts, 0);
    // The alerts of failed trainings are among the triggered ones.
    const triggered = Math.max(given.triggered, heldBack);
    const unanswered = Math.min(given.unanswered + heldBack, triggered);
    const evidence = evidenceOf({ ...given, triggered, unanswered });
    return {
      given: { ...given, triggered },
      unanswered,
      evidence: { ...evidence, alerts: { ...evidence.alerts, failed }, inFlight },
    };
  });

  type State = typeof states extends fc.Arbitrary<infer T> ? T : never;

  /** The rules again, independent of the code under test. */
  function expectTrigger({ evidence, given, unanswered }: State, policy: PolicySettings, now: number) {
    const held = evidence.alerts.failed
      .filter(
        ({ endedAt, failures: count }) =>
          now < Date.parse(endedAt) + Math.min(604_800, policy.backoffSeconds * 2 ** (count - 1)) * 1000,
      )
      .reduce((sum, { alerts }) => sum + alerts, 0);
    const isFree = evidence.inFlight.every(({ until }) => until !== null && Date.parse(until) <= now);
    return (
      given.checks >= 1 &&
      given.triggered >= policy.minAlertsTriggered &&
      given.ratings >= policy.minBufferSize &&
      (!policy.retriggerGuard || unanswered - held >= policy.minAlertsTriggered) &&
      (!policy.inFlightGuard || isFree)
    );
  }

  it("triggers exactly when all criteria pass and no guard objects", () => {
    fc.assert(
      fc.property(states, settings, (state, own) => {
        const policy = policyOf(own);
        const verdict = evaluate(state.evidence, policy);
        const expected = expectTrigger(state, own, TAKEN_AT);
        expect(verdict.decision).toBe(expected ? "trigger" : "no_action");
        expect(verdict.failed.length === 0).toBe(expected);
        expect(evaluate(state.evidence, policy)).toEqual(verdict);
      }),
    );
  });

  it("returns the earliest time at which a failed check could pass through time alone", () => {
    fc.assert(
      // In a window that outlasts the test, so that no alert leaves it.
      fc.property(states, settings, (state, own) => {
        const policy = policyOf({ ...own, lookbackHours: 87_600 });
        const { failed, nextLookAt } = evaluate(state.evidence, policy);
        const later = (time: number) =>
          evaluate({ ...state.evidence, takenAt: new Date(time).toISOString() }, policy).failed;
        if (nextLookAt === null) {
          // Time alone makes no failed check pass, however much of it passes.
          expect(failed.filter((reason) => !later(TAKEN_AT + 10 ** 10).includes(reason))).toEqual([]);
          return;
        }
        const time = Date.parse(nextLookAt);
        expect(time).toBeGreaterThan(TAKEN_AT);
        expect(failed.every((reason) => later(time - 1).includes(reason))).toBe(true);
        expect(failed.some((reason) => !later(time).includes(reason))).toBe(true);
      }),
    );
  });

  it("never withdraws a trigger because more data arrived", () => {
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

describe("the guards of a training", () => {
  const takenAt = new Date("2025-12-21T15:30:00Z");
  const secondsAgo = (seconds: number) => new Date(takenAt.getTime() - seconds * 1000).toISOString();
  const failed = (seconds: number, failures: number, alerts = 1) => ({
    decisionId: 4,
    endedAt: secondsAgo(seconds),
    conclusion: "failure",
    failures,
    alerts,
  });

  it.each([
    ["one second before its end", 3_599, 1, "retry_backoff"],
    ["at its end", 3_600, 1, "drift_detected"],
    ["twice as long after the second failure", 7_199, 2, "retry_backoff"],
    ["and no longer", 7_200, 2, "drift_detected"],
    ["sixteen times after the fifth", 16 * 3_600 - 1, 5, "retry_backoff"],
    ["a week at most", 7 * 86_400, 60, "drift_detected"],
  ])("hold the alerts of a failed training back for its backoff: %s", (_, seconds, failures, reason) => {
    const evidence = guideEvidence();
    evidence.alerts.failed = [failed(seconds, failures)];
    expect(evaluate(evidence, GUIDE_POLICY).reason).toBe(reason);
  });

  it("let a new alert start a training while those of a failed one are held back", () => {
    const evidence = evidenceOf({ checks: 5, triggered: 3, ratings: 60_000 });
    evidence.alerts.failed = [failed(10, 1, 2)];
    expect(evaluate(evidence, GUIDE_POLICY).decision).toBe("trigger");
    expect(evaluate(evidence, guidePolicy({ minAlertsTriggered: 2 })).reason).toBe("retry_backoff");
  });

  it("hold nothing back if the re-trigger guard is off", () => {
    const evidence = guideEvidence();
    evidence.alerts.failed = [failed(1, 3)];
    expect(evaluate(evidence, guidePolicy({ retriggerGuard: false })).decision).toBe("trigger");
  });

  it("object while a training is in flight, unless that guard is off", () => {
    const evidence = guideEvidence();
    const training = {
      decisionId: 4,
      trainer: "github",
      state: "running",
      since: secondsAgo(60),
      until: null,
      url: "https://x",
    };
    evidence.inFlight = [training];
    const verdict = evaluate(evidence, GUIDE_POLICY);
    expect(verdict).toMatchObject({ decision: "no_action", reason: "training_in_flight" });
    expect(evaluate(evidence, guidePolicy({ inFlightGuard: false })).decision).toBe("trigger");
    expect(renderCriteria({ verdict, evidence, policy: GUIDE_POLICY })).toContain(
      "decision #4 (github, running)",
    );
  });

  it("say when a backoff ends", () => {
    const evidence = guideEvidence();
    evidence.alerts.failed = [failed(600, 2)];
    const text = renderCriteria({
      verdict: evaluate(evidence, GUIDE_POLICY),
      evidence,
      policy: GUIDE_POLICY,
    });
    expect(text).toContain(
      "held back until 2025-12-21 17:20 UTC, because the training of decision #4 failed (failure, failure 2",
    );
  });
});
