import { createHmac } from "node:crypto";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { isHigherBetterBy } from "../../src/core/outcome/direction.ts";
import {
  BROUGHT,
  describeOutcome,
  judgeOutcome,
  type Outcome,
  type OutcomeReport,
  toOutcome,
} from "../../src/core/outcome/outcome.ts";
import { listVersionReports, readRegistryEvent } from "../../src/core/outcome/registry-event.ts";
import { describeTally, type JudgedTraining, tallyByCause } from "../../src/core/outcome/tally.ts";
import { parseViewRow } from "../../src/core/outcome/view-row.ts";
import { findMlflowSignatureFault } from "../../src/outgoing/mlflow-signature.ts";

const auc = (before: number | null, after: number | null, promoted: boolean | null = null): Outcome => ({
  metric: "auc",
  before,
  after,
  isHigherBetter: true,
  promoted,
});
const rmse = (before: number, after: number): Outcome => ({
  ...auc(before, after),
  metric: "rmse",
  isHigherBetter: false,
});

describe("what a training brought", () => {
  it.each<[string, Outcome[], string]>([
    ["a better figure", [auc(0.8, 0.9)], "improved"],
    ["a better figure of a metric that should be low", [rmse(0.9, 0.8)], "improved"],
    ["the same figure", [auc(0.8, 0.8)], "nothing"],
    ["a worse figure", [rmse(0.8, 0.9)], "worse"],
    ["one better figure and one unchanged", [auc(0.8, 0.9), rmse(1, 1)], "improved"],
    ["figures that contradict each other", [auc(0.8, 0.9), rmse(0.8, 0.9)], "unknown"],
    ["contradicting figures of a promoted model", [auc(0.8, 0.9, true), rmse(0.8, 0.9)], "improved"],
    ["a figure with nothing to compare it to", [auc(null, 0.9)], "unknown"],
    ["no report", [], "unknown"],
    ["a better model that was not promoted", [auc(0.8, 0.9, false)], "nothing"],
    ["a promoted model without figures", [auc(null, null, true)], "improved"],
    ["a worse model that was promoted all the same", [auc(0.9, 0.8, true), rmse(1, 1)], "worse"],
    ["figures whose difference is no number", [auc(-1.7e308, 1.7e308)], "improved"],
  ])("is judged by %s", (_, outcomes, expected) => {
    expect(judgeOutcome(outcomes)).toBe(expected);
  });

  it("follows the newest report about the promotion, whatever their order", () => {
    const older = { ...auc(null, null, true), at: "2026-11-28T06:00:00.5+00:00" };
    const newer = { ...auc(null, null, false), at: "2026-11-28T07:00:00+02:00" };
    expect(judgeOutcome([older, newer])).toBe("improved");
    expect(judgeOutcome([{ ...newer, at: "2026-11-28T07:00:00+00:00" }, older])).toBe("nothing");
  });

  it("does not depend on the order of metrics, and turns round with the direction", () => {
    const figure = fc.option(fc.double({ noNaN: true, noDefaultInfinity: true }), { nil: null });
    const outcome = fc.record({
      metric: fc.string(),
      before: figure,
      after: figure,
      isHigherBetter: fc.boolean(),
      promoted: fc.constant(null),
    });
    const turned = { improved: "worse", worse: "improved", nothing: "nothing", unknown: "unknown" } as const;
    fc.assert(
      fc.property(fc.array(outcome, { maxLength: 5 }), (outcomes) => {
        const brought = judgeOutcome(outcomes);
        expect(BROUGHT).toContain(brought);
        expect(judgeOutcome(outcomes.toReversed())).toBe(brought);
        const flipped = outcomes.map((one) => ({ ...one, isHigherBetter: !one.isHigherBetter }));
        expect(judgeOutcome(flipped)).toBe(turned[brought]);
      }),
    );
  });

  it("is counted by what the training was for, and said in a sentence", () => {
    const training = (judged: JudgedTraining["judged"], features: string[], reason = "drift_detected") =>
      ({ judged, features, reason }) as JudgedTraining;
    const tallies = tallyByCause([
      training("improved", ["amount_psi"]),
      training("nothing", ["amount_psi"]),
      training("worse", ["amount_psi"]),
      training("unknown", ["amount_psi"]),
      training("improved", ["a", "b"]),
      training("unknown", [], "max_age"),
    ]);
    expect(tallies.map(describeTally)).toEqual([
      "2 of 3 trainings for drift in amount_psi brought nothing, and 1 of them made it worse; of 1 more it is unknown",
      "1 of 1 training for drift in a and b improved the model",
      "What 1 training for max age brought is unknown",
    ]);
  });
});

describe("a report", () => {
  it.each([
    ["rmse", false],
    ["val_rmse", false],
    ["Log-Loss", false],
    ["ndcg@10", true],
    ["test/f1_macro", true],
    ["roc_auc_score", true],
    ["lift", null],
  ])("knows which figures of %s are better", (metric, expected) => {
    expect(isHigherBetterBy(metric)).toBe(expected);
  });

  it.each<[OutcomeReport, string]>([
    [{}, "says nothing"],
    [{ metric: "auc" }, "says nothing"],
    [{ before: 1, after: 2 }, "metric is missing"],
    [{ metric: "lift", after: 2 }, "direction is missing"],
    [{ metric: "rmse", after: 2, direction: "higher" }, "rmse is better when lower"],
    [{ metric: "promotion", after: 2 }, "give the metric another name"],
  ])("is refused with the remedy: %j", (report, message) => {
    expect(() => toOutcome(report)).toThrow(message);
  });

  it("is shown in a line", () => {
    expect(describeOutcome(toOutcome({ metric: "lift", before: 1.5, direction: "higher" }))).toBe(
      "lift 1.5 → ? (higher is better)",
    );
    expect(describeOutcome(toOutcome({ promoted: false }))).toBe("not promoted");
  });
});

describe("a row of a view", () => {
  const row = { decision_id: "5", metric: "auc", before: "0.8", after: "0.9" };

  it("names its training by decision or run", () => {
    expect(parseViewRow({ ...row, promoted: "t" })).toEqual({
      outcome: {
        decisionId: 5,
        metric: "auc",
        before: 0.8,
        after: 0.9,
        isHigherBetter: true,
        promoted: true,
      },
    });
    const runId = "01a21b6c-fff9-72d2-980f-dd2012c5cd61";
    const named = parseViewRow({ ...row, decision_id: null, run_id: runId.toUpperCase() });
    expect(named).toMatchObject({ outcome: { runId } });
  });

  it.each([
    [{ after: "NaN" }, 'after is "NaN": must be a finite number, or NULL'],
    [{ decision_id: null }, "decision_id and run_id are NULL"],
    [{ decision_id: "five" }, 'decision_id is "five"'],
    [{ metric: "lift" }, "higher_is_better is missing"],
    [{ promoted: "maybe", before: "" }, 'promoted is "maybe"'],
    [{ metric: "a\nb" }, "metric is"],
  ])("is faulted: %j", (changes, fault) => {
    expect(parseViewRow({ ...row, ...changes })).toEqual({ fault: expect.stringContaining(fault) as string });
  });
});

describe("an event of MLflow's registry", () => {
  // The examples of MLflow's documentation.
  const version = { name: "example_model", version: "1" };

  it("is read for its own tags and the aliases of the model in use", () => {
    const read = (entity: string, action: string, data: object) =>
      readRegistryEvent({ entity, action, data: data as Record<string, unknown> });
    const created = { ...version, source: "models:/123", run_id: "abcd1234abcd5678", description: null };
    expect(
      read("model_version", "created", {
        ...created,
        tags: { "retrigger.run_id": "r", example_key: "example_value" },
      }),
    ).toMatchObject({ tags: { "retrigger.run_id": "r" }, isCreated: true, isPromoted: false });
    const tag = { ...version, key: "example_key", value: "example_value" };
    expect(read("model_version_tag", "set", tag)).toBeNull();
    expect(read("model_version_alias", "created", { ...version, alias: "example_alias" })).toBeNull();
    expect(read("model_version_alias", "created", { ...version, alias: "champion" })?.isPromoted).toBe(true);
    expect(read("registered_model", "created", { name: "example_model" })).toBeNull();
    expect(() => read("model_version", "created", { name: "example_model" })).toThrow("version is missing");
  });

  it("reports the metrics of its tags, once one has a figure", () => {
    const tags = {
      "retrigger.metric.auc.before": "0.8",
      "retrigger.metric.auc.after": "nan",
      "retrigger.metric.lift.direction": "higher",
    };
    expect(listVersionReports({ tags, isPromoted: true })).toEqual([
      { metric: "auc", before: 0.8, after: "nan" },
      { metric: "promotion", promoted: true },
    ]);
  });

  it("counts only if MLflow signed it, within five minutes", () => {
    const body = '{"entity":"model_version"}';
    const now = 1_796_000_000;
    const sign = (secret: string, timestamp: number, id = "delivery-1") => ({
      "X-MLflow-Delivery-Id": id,
      "X-MLflow-Timestamp": String(timestamp),
      "X-MLflow-Signature": `v1,${createHmac("sha256", secret).update(`${id}.${timestamp}.${body}`).digest("base64")}`,
    });
    const judge = (headers: Record<string, string>, sent = body) =>
      findMlflowSignatureFault(["a secret"], Buffer.from(sent), (name) => headers[name], now * 1000);
    expect(judge(sign("a secret", now))).toBeNull();
    expect(judge(sign("another", now))).toContain("X-MLflow-Signature is missing or wrong");
    expect(judge(sign("a secret", now), `${body} `)).toContain("wrong");
    expect(judge({ ...sign("a secret", now), "X-MLflow-Delivery-Id": "delivery-2" })).toContain("wrong");
    expect(judge({ ...sign("a secret", now), "X-MLflow-Signature": "v1,AAAA" })).toContain("wrong");
    expect(judge(sign("a secret", now - 301))).toContain("301 s old");
    expect(judge(sign("a secret", now + 301))).toContain("301 s ahead");
    expect(judge({})).toContain("X-MLflow-Delivery-Id is missing");
  });
});
