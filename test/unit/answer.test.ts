import { describe, expect, it } from "vitest";
import { answerDecision, answerModel, type AnsweredTraining } from "../../src/core/answer.ts";
import { DispatchState } from "../../src/core/dispatch/dispatch.ts";
import {
  needsPerson,
  type Standing,
  STANDINGS,
  type StandingInput,
  standingOf,
} from "../../src/core/standing.ts";

const NOW = Date.parse("2026-11-29T12:00:00Z");
const ago = (minutes: number): string => new Date(NOW - minutes * 60_000).toISOString();

const decision = (changes: Partial<NonNullable<StandingInput["latest"]>> = {}) => ({
  id: 7,
  decision: "no_action",
  codes: ["insufficient_buffer"],
  decidedAt: ago(10),
  nextLookAt: null,
  isDue: false,
  driftRunsMissing: false,
  ...changes,
});
const training = (changes: Partial<NonNullable<StandingInput["training"]>> = {}) => ({
  decisionId: 7,
  trainer: "github",
  state: "running" as const,
  isUnrequested: false,
  requestedAt: ago(10),
  endedAt: null,
  ...changes,
});
const facts = (changes: Partial<StandingInput> = {}): StandingInput => ({
  latest: decision(),
  training: null,
  approval: null,
  snoozedUntil: null,
  waitingSince: null,
  isReady: false,
  ...changes,
});
const AWAITING = {
  approval: { decisionId: 7, expiresAt: ago(-60) },
  latest: decision({ codes: ["awaiting_approval"], driftRunsMissing: true }),
};
const TRIGGERED = decision({ decision: "trigger", codes: ["drift_detected"] });

describe("where a model stands", () => {
  it.each<[Standing, Partial<StandingInput>]>([
    ["new", { latest: null }],
    ["waiting", {}],
    ["waiting", { latest: decision({ codes: ["no_drift_alerts", "cooldown"] }) }],
    ["held", { latest: decision({ codes: ["cooldown"] }) }],
    ["snoozed", { latest: decision({ codes: ["snoozed"] }), snoozedUntil: ago(-60) }],
    ["due", { latest: decision({ isDue: true }), snoozedUntil: ago(-60) }],
    ["triggered", { latest: TRIGGERED, training: training({ trainer: "mock", state: "sent" }) }],
    ["triggered", { latest: TRIGGERED, training: training({ state: "succeeded" }) }],
    ["training", { latest: TRIGGERED, training: training() }],
    ["training", { training: training({ decisionId: 6, state: "sent" }) }],
    ["failed", { latest: TRIGGERED, training: training({ state: "failed" }) }],
    [
      "failed",
      {
        latest: decision({ codes: ["retry_backoff"] }),
        training: training({ decisionId: 6, state: "failed" }),
      },
    ],
    ["waiting", { training: training({ decisionId: 6, state: "failed" }) }],
    ["triggered", { latest: TRIGGERED, training: training({ state: "cancelled", isUnrequested: true }) }],
    ["ready", { isReady: true, latest: decision({ driftRunsMissing: true }) }],
    ["ready", { isReady: true, latest: TRIGGERED, training: training({ state: "failed" }) }],
    ["approval", { ...AWAITING, isReady: true }],
    ["waiting", { ...AWAITING, latest: decision() }],
    ["silent", { latest: decision({ driftRunsMissing: true }) }],
    ["approval", AWAITING],
    ["stuck", { waitingSince: ago(5), approval: { decisionId: 7, expiresAt: ago(-60) } }],
    ["stuck", { latest: null, waitingSince: ago(5) }],
    ["refused", { latest: TRIGGERED, training: training({ state: "rejected" }), waitingSince: ago(5) }],
    ["waiting", { training: training({ decisionId: 6, state: "rejected" }) }],
    ["unknown", { training: training({ decisionId: 3, state: "unknown" }), waitingSince: ago(5) }],
  ])("%s", (standing, changes) => {
    expect(standingOf(facts(changes))).toBe(standing);
  });

  it("lists what needs a person before the rest", () => {
    const needs = (Object.keys(STANDINGS) as Standing[]).map(needsPerson);
    expect(needs).toEqual(needs.toSorted((a, b) => Number(b) - Number(a)));
  });
});

const VERDICT = { decision: "no_action", why: "12,400 ratings short", codes: ["insufficient_buffer"] };

describe("an answer", () => {
  it("is one sentence that ends, for every standing", () => {
    for (const standing of Object.keys(STANDINGS) as Standing[]) {
      const { sentence, details } = answerModel(standing, facts({ waitingSince: ago(5) }), {
        verdict: VERDICT,
        latest: VERDICT,
        training: null,
        now: NOW,
      });
      for (const text of [sentence, ...details]) expect(text, standing).toMatch(/^[A-Z].*[.]$/);
    }
  });

  it.each<[Standing, Partial<StandingInput>, RegExp]>([
    ["failed", { training: training({ state: "failed" }) }, /^The training of decision #7 failed\.$/],
    [
      "failed",
      { training: training({ state: "cancelled" }) },
      /^The training of decision #7 was cancelled\.$/,
    ],
    ["silent", { latest: { ...TRIGGERED, driftRunsMissing: true } }, /^Drift runs are missing\.$/],
    [
      "due",
      { latest: { ...TRIGGERED, isDue: true } },
      /^Retraining was triggered 10 min ago by decision #7: drift in x\.$/,
    ],
  ])(
    "that is %s never takes what triggered for a reason against it while the sources cannot be read",
    (standing, changes, expected) => {
      const input = facts({ latest: TRIGGERED, ...changes });
      expect(standingOf(input)).toBe(standing);
      const { sentence, details } = answerModel(standing, input, {
        verdict: null,
        latest: { decision: "trigger", why: "drift in x", codes: ["drift_detected"] },
        training: input.training,
        now: NOW,
      });
      expect(sentence).toMatch(expected);
      expect([sentence, ...details].join(" ")).not.toContain("Not retraining");
    },
  );

  it("says the codes in words if a version before recorded no reason", () => {
    const old = { decision: "no_action", why: "", codes: ["no_drift_alerts", "insufficient_buffer"] };
    const { sentence } = answerDecision(old, { training: null, isAwaited: false, now: NOW });
    expect(sentence).toBe("Not retrained: no drift alerts, insufficient buffer.");
  });

  it.each<[DispatchState, Partial<AnsweredTraining>, RegExp]>([
    ["pending", {}, /^The request of decision #7 is being sent to github\.$/],
    ["sent", {}, /^Training requested: github accepted the request of decision #7 10 min ago\.$/],
    [
      "running",
      { startedAt: ago(4) },
      /^The training of decision #7 has been running for 4 min \(trainer: github\)\.$/,
    ],
    ["succeeded", { durationSeconds: 720 }, /^The training of decision #7 succeeded after 12 min\.$/],
    [
      "failed",
      { conclusion: "timed_out", error: "Out of memory" },
      /failed \(timed_out\)\. Out of memory\.$/,
    ],
    ["unknown", {}, /^It is unknown whether the training of decision #7 started/],
    [
      "rejected",
      { error: "Bad token." },
      /^The trainer github refused the request of decision #7\. Bad token\.$/,
    ],
    ["cancelled", {}, /^The training of decision #7 was cancelled\.$/],
    ["cancelled", { reason: "evidence_too_old" }, /^Not requested: the evidence had become too old\.$/],
  ])("of a trigger whose training is %s says what became of it", (state, changes, expected) => {
    const own = { decisionId: 7, trainer: "github", state, requestedAt: ago(10), ...changes };
    const verdict = { decision: "trigger", why: "drift in x", codes: ["drift_detected"] };
    const answer = answerDecision(verdict, { training: own, isAwaited: false, now: NOW });
    expect(answer.sentence).toBe("Retraining was triggered: drift in x.");
    expect(answer.details[0]).toMatch(expected);
  });
});
