import { describe, expect, it } from "vitest";
import type { DecisionSummary } from "../../src/core/report/decision-summary.ts";
import { audit, type Observation, type ObservedDecision, type Violation } from "./auditor.ts";

const [FIRST, SECOND] = ["019a0000-0000-7000-8000-000000000001", "019a0000-0000-7000-8000-000000000002"];

function decision(id: number, runId: string, changes: Partial<ObservedDecision> = {}): ObservedDecision {
  const before = id === 1 ? null : id - 1;
  return {
    id,
    runId,
    decision: "trigger",
    previousId: before,
    seenId: before,
    takenAt: 1_000 * id,
    alertIds: [`alert-${id}`],
    reasonCodes: ["drift_detected"],
    needsFollowUp: false,
    isComplete: true,
    ...changes,
  };
}

function summary(runId: string, decisionId: number | null, supersededBy?: string): [string, DecisionSummary] {
  return [runId, { runId, decisionId, supersededBy } as DecisionSummary];
}

/** Two events, two decisions, two trainings, and no violation. */
function clean(): Observation {
  const job = (runId: string) => ({ state: "completed", result: { outcome: "started", runId } }) as const;
  return {
    sent: [
      { eventRunId: "drift-1", sentAt: 900, job: job(FIRST) },
      { eventRunId: "drift-2", sentAt: 1_900, job: job(SECOND) },
    ],
    summaries: new Map([summary(FIRST, 1), summary(SECOND, 2)]),
    brokenJobs: [],
    events: [
      { eventRunId: "drift-1", receivedAt: 950, runId: FIRST },
      { eventRunId: "drift-2", receivedAt: 1_950, runId: SECOND },
    ],
    decisions: [decision(1, FIRST), decision(2, SECOND)],
    dispatches: [
      { decisionId: 1, state: "succeeded", askedAt: 1_100, extraRuns: [] },
      { decisionId: 2, state: "succeeded", askedAt: 2_100, extraRuns: [] },
    ],
    trainings: [
      { key: FIRST, askedAt: 1_150 },
      { key: SECOND, askedAt: 2_150 },
    ],
    contractFaults: [],
    doublesRuns: false,
    pendingFollowUps: [],
    keysLeft: [],
    hasGuard: true,
    mayRedisForget: false,
    leaks: [],
    unverified: [],
  };
}

describe("the auditor", () => {
  it("finds no violation in a correct run", () => {
    expect(audit(clean())).toEqual([]);
  });

  it.each<[string, Violation["kind"], (seen: Observation) => unknown]>([
    [
      "two decisions that saw the same one",
      "duplicate decision",
      ({ decisions }) => Object.assign(decisions[1] ?? {}, { previousId: null, seenId: null }),
    ],
    [
      "a decision that names one it did not see",
      "duplicate decision",
      ({ decisions }) => Object.assign(decisions[1] ?? {}, { seenId: null }),
    ],
    [
      "a run that decided twice",
      "duplicate decision",
      ({ decisions }) => Object.assign(decisions[1] ?? {}, { runId: FIRST }),
    ],
    [
      "a decision held back by a training that is not open",
      "stuck model",
      ({ decisions }) => Object.assign(decisions[1] ?? {}, { reasonCodes: ["training_in_flight"] }),
    ],
    [
      "a decision whose follow-up is not pending",
      "stuck model",
      ({ decisions }) => Object.assign(decisions[1] ?? {}, { needsFollowUp: true }),
    ],
    [
      "a follow-up of an older decision",
      "stuck model",
      ({ pendingFollowUps }) => pendingFollowUps.push("next-look-x-1"),
    ],
    [
      "a failure after which nothing was decided",
      "stuck model",
      ({ dispatches }) => Object.assign(dispatches[1] ?? {}, { state: "failed" }),
    ],
    [
      "an incomplete decision",
      "broken decision",
      ({ decisions }) => Object.assign(decisions[0] ?? {}, { isComplete: false }),
    ],
    [
      "a report about a decision that does not exist",
      "broken decision",
      ({ summaries }) => summaries.set(...summary(SECOND, 7)),
    ],
    [
      "a report of no decision although one exists",
      "broken decision",
      ({ summaries }) => summaries.set(...summary(SECOND, null, FIRST)),
    ],
    [
      "a decision with two trainings",
      "duplicate dispatch",
      ({ trainings }) => trainings.push({ key: FIRST, askedAt: 3_000 }),
    ],
    [
      "a training without a decision",
      "duplicate dispatch",
      ({ trainings }) => trainings.push({ key: "other", askedAt: 3_000 }),
    ],
    [
      "an alert that started two trainings",
      "duplicate dispatch",
      ({ decisions }) => Object.assign(decisions[1] ?? {}, { alertIds: ["alert-1"] }),
    ],
    ["a trigger without a dispatch", "broken decision", ({ dispatches }) => dispatches.pop()],
    [
      "a dispatch without a trigger",
      "broken decision",
      ({ decisions }) => Object.assign(decisions[1] ?? {}, { decision: "no_action" }),
    ],
    [
      "a request before its row was written",
      "broken decision",
      ({ dispatches }) => Object.assign(dispatches[0] ?? {}, { askedAt: null }),
    ],
    ["a training that the trainer does not have", "broken decision", ({ trainings }) => trainings.pop()],
    [
      "a refused request whose training was started",
      "broken decision",
      ({ dispatches }) => Object.assign(dispatches[0] ?? {}, { state: "rejected" }),
    ],
    [
      "a second training that was not recorded",
      "duplicate dispatch",
      (seen) => {
        seen.doublesRuns = true;
        seen.trainings.push({ key: FIRST, askedAt: 1_151 });
      },
    ],
    [
      "a request that violates GitHub's description of its API",
      "broken contract",
      ({ contractFaults }) => contractFaults.push("x"),
    ],
    [
      "an unknown dispatch whose request arrived",
      "broken decision",
      ({ dispatches }) => Object.assign(dispatches[0] ?? {}, { state: "unknown" }),
    ],
    [
      "an abandoned dispatch",
      "broken decision",
      ({ dispatches }) => Object.assign(dispatches[0] ?? {}, { state: "pending" }),
    ],
    ["an event that is not in Postgres", "lost event", ({ events }) => events.pop()],
    [
      "an event whose decision is older",
      "lost event",
      ({ sent }) => Object.assign(sent[1] ?? {}, { sentAt: 2_500 }),
    ],
    [
      "an event whose run decided nothing",
      "lost event",
      ({ events }) => Object.assign(events[1] ?? {}, { runId: "nowhere", receivedAt: 2_500 }),
    ],
    ["an event whose job is gone", "lost event", ({ sent }) => Object.assign(sent[0] ?? {}, { job: null })],
    [
      "an event whose job failed",
      "lost event",
      ({ sent }) => Object.assign(sent[0] ?? {}, { job: { state: "failed", result: null } }),
    ],
    [
      "an event whose job leads nowhere",
      "lost event",
      ({ sent }) => Object.assign(sent[0]?.job ?? {}, { result: { outcome: "folded", runId: "nowhere" } }),
    ],
    [
      "an event whose job leads in a cycle",
      "lost event",
      ({ sent, summaries }) => {
        Object.assign(sent[0]?.job ?? {}, { result: { outcome: "folded", runId: "a" } });
        summaries.set("a", { supersededBy: "a", decisionId: null } as DecisionSummary);
      },
    ],
    [
      "a decision that is not what was recorded",
      "broken decision",
      ({ unverified }) => unverified.push("#2 was changed"),
    ],
    ["a job that failed for good", "broken job", ({ brokenJobs }) => brokenJobs.push("act x: failed")],
    ["a lock that was not released", "leak", ({ keysLeft }) => keysLeft.push("decision-lock:default")],
    ["a process that ended on its own", "leak", ({ leaks }) => leaks.push("a worker ended")],
  ])("finds %s", (_, kind, plant) => {
    const seen = clean();
    plant(seen);
    expect(audit(seen).map((violation) => violation.kind)).toContain(kind);
  });

  it("accepts two trainings for one request if both are recorded", () => {
    const seen = clean();
    seen.doublesRuns = true;
    seen.trainings.push({ key: FIRST, askedAt: 1_151 });
    Object.assign(seen.dispatches[0] ?? {}, { extraRuns: ["2"] });
    expect(audit(seen)).toEqual([]);
  });

  it("follows a superseded run to the run that decided", () => {
    const seen = clean();
    seen.summaries.set(...summary("superseded", null, SECOND));
    Object.assign(seen.sent[0]?.job ?? {}, { result: { outcome: "folded", runId: "superseded" } });
    expect(audit(seen)).toEqual([]);
  });

  it("requires decisions only about events in Postgres if Redis was emptied", () => {
    const seen = clean();
    seen.mayRedisForget = true;
    seen.sent.push({ eventRunId: "drift-3", sentAt: 3_000, job: null });
    expect(audit(seen)).toEqual([]);
    seen.events.push({ eventRunId: "drift-3", receivedAt: 3_100, runId: "gone" });
    expect(audit(seen).map(({ kind }) => kind)).toEqual(["lost event"]);
  });
});
