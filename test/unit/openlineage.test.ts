import { describe, expect, it } from "vitest";
import { describeLineage, type LineageDecision, type LineageTraining } from "../../src/core/openlineage.ts";
import { createLineageJudge } from "../support/openlineage.ts";

const TRAINING: LineageTraining = {
  runId: "01a22608-d6f6-7040-be50-49cc6a16e3e7",
  trainer: "github",
  state: "succeeded",
  requestedAt: "2026-11-29T06:00:01+00:00",
  changedAt: "2026-11-29T07:00:00+00:00",
  externalId: "42",
  url: "https://github.example/runs/42",
  conclusion: "success",
  error: null,
  durationSeconds: 3_500,
};

const DECISION: LineageDecision = {
  id: 7,
  runId: "01a22608-d6f6-7040-be50-49cc6a16e3e6",
  model: "fraud",
  cause: "event",
  decision: "trigger",
  reason: "drift_detected",
  bufferSize: 118_367,
  driftScore: 0.112,
  policyHash: "6c0d598b862f",
  evaluator: 1,
  sha256: "ab".repeat(32),
  takenAt: "2026-11-29T05:59:59.123456+00:00",
  decidedAt: "2026-11-29T06:00:00+00:00",
  training: null,
};

const INPUTS = [{ namespace: "postgres://db.example:5432", name: "shop.public.payments" }];

const judge = createLineageJudge();
const shortly = (decision: LineageDecision) =>
  describeLineage(decision, INPUTS).map(({ job, eventType, eventTime }) => [job.name, eventType, eventTime]);

describe("the run events of a decision", () => {
  it("begin when its evidence was read, and end with what was decided from which tables", () => {
    const events = describeLineage(DECISION, INPUTS);
    expect(shortly(DECISION)).toEqual([
      ["retrigger.decide.fraud", "START", "2026-11-29T05:59:59.123456+00:00"],
      ["retrigger.decide.fraud", "COMPLETE", "2026-11-29T06:00:00+00:00"],
    ]);
    expect(events[1]).toMatchObject({
      inputs: INPUTS,
      run: {
        runId: DECISION.runId,
        facets: { retrigger_decision: { decisionId: 7, decision: "trigger", policyHash: "6c0d598b862f" } },
      },
    });
    expect(events.flatMap(judge)).toEqual([]);
    expect(shortly({ ...DECISION, takenAt: null })[0]?.[2]).toBe(DECISION.decidedAt);
  });

  it.each([
    ["succeeded", "COMPLETE"],
    ["failed", "FAIL"],
    ["rejected", "FAIL"],
    ["cancelled", "ABORT"],
  ])("are followed by those of its training, a run of its own that has %s: %s", (state, end) => {
    const decision = { ...DECISION, training: { ...TRAINING, state } };
    const events = describeLineage(decision, INPUTS);
    expect(shortly(decision).slice(2)).toEqual([
      ["retrigger.train.fraud", "START", TRAINING.requestedAt],
      ["retrigger.train.fraud", end, TRAINING.changedAt],
    ]);
    for (const { run } of events.slice(2))
      expect(run).toMatchObject({
        runId: TRAINING.runId,
        facets: {
          parent: {
            run: { runId: DECISION.runId },
            job: { namespace: "retrigger", name: "retrigger.decide.fraud" },
          },
        },
      });
    expect(events.flatMap(judge)).toEqual([]);
  });

  it.each(["pending", "sent", "running", "unknown"])("end no training that is %s", (state) => {
    const events = describeLineage({ ...DECISION, training: { ...TRAINING, state } }, INPUTS);
    expect(events.slice(2).map(({ eventType }) => eventType)).toEqual(["START"]);
    expect(events.flatMap(judge)).toEqual([]);
  });

  it("would be refused by the schema without a run id, a time or the schema of a facet", () => {
    const [, event] = describeLineage(DECISION, INPUTS);
    const refuse = (change: object): number => judge({ ...event, ...change }).length;
    expect(refuse({ eventTime: "yesterday" })).toBeGreaterThan(0);
    expect(refuse({ run: { runId: "7", facets: {} } })).toBeGreaterThan(0);
    expect(refuse({ run: { runId: DECISION.runId, facets: { own: { decisionId: 7 } } } })).toBeGreaterThan(0);
    expect(refuse({ run: { runId: DECISION.runId, facets: { parent: {} } } })).toBeGreaterThan(0);
  });
});
