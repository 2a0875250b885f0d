import { describe, expect, it } from "vitest";
import { LIMITS } from "../../../src/detectors/findings.ts";
import { detectorOf, faultOf, LOG_05, parseFixture, show } from "../../support/detectors.ts";

const metric = (parameters: Record<string, unknown>, value: unknown, id = "m") => ({
  id,
  config: { type: "evidently:metric_v2:ValueDrift", ...parameters },
  value,
});
const driftTest = (status: string, id = "m") => ({ id: "drift", status, metric_config: { metric_id: id } });

describe("Evidently", () => {
  it.each([
    [
      "evidently",
      [
        ["drifted columns", 0.33, 0.5, false],
        ["age", 3, LOG_05, true],
        ["income", 0.04, 0.1, false],
        ["city", 0.1, 0.1, true],
      ],
      ["metrics[4]: RowCount is no drift metric"],
    ],
    [
      "evidently-tests",
      [
        ["age", -Math.log10(0.2), LOG_05, false],
        ["income", 0.05, null, true],
        ["review", null, null, true],
        ["text", 0.71, null, false],
      ],
      ["1 test(s) that are no drift tests"],
    ],
    [
      "evidently-names-only",
      [
        ["drifted columns", 0.5, 0.5, true],
        ["clicked", -Math.log10(0.3), LOG_05, false],
        ["price, net", 0.25, 0.1, true],
      ],
      [],
    ],
    [
      "evidently-0.7.0",
      [
        ["age", null, null, true],
        ["income", 0.3, 0.2, true],
      ],
      ["metrics[2]: RowCount is no drift metric"],
    ],
    [
      "evidently-0.4-report",
      [
        ["drifted columns", 0.5, 0.5, true],
        ["age (K-S p_value)", 2, LOG_05, true],
        ["income", 0.02, 0.1, false],
        ["age (PSI)", 0.3, 0.1, true],
      ],
      ["metrics[3]: DatasetSummaryMetric is no drift metric", "metrics[1].result: drifted columns again"],
    ],
    [
      "evidently-0.4-tests",
      [
        ["Share of Drifted Columns", null, null, true],
        ["age", 16, LOG_05, true],
        ["income", 0.02, 0.1, false],
      ],
      ["tests[2]: Share of Missing Values is no drift test", "tests[1].parameters: income again"],
    ],
  ])("understands %s", (name, checks, ignored) => {
    const report = parseFixture(name);
    expect(show(report)).toEqual(checks);
    expect(report.ignored).toEqual(ignored);
  });

  it("keeps the figures of the detector in the notes", () => {
    const notes = [...parseFixture("evidently").checks, ...parseFixture("evidently-tests").checks];
    expect(notes.map(({ notes: text }) => text)).toEqual([
      "share of drifted columns 0.33 < 0.5",
      "K-S p_value 0.001 < 0.05",
      "Wasserstein distance (normed) 0.04 < 0.1",
      "Jensen-Shannon distance 0.1 = 0.1",
      "K-S p_value 0.2 > 0.05; test: no drift",
      "PSI 0.05 < 0.1; test: drift",
      "custom function 'own_drift' 0.9 > 0.4; test: drift",
      "Percentile text content drift 0.71 < 0.95; test: no drift",
    ]);
  });

  it.each([
    ["K-S p_value", 0.05, true],
    ["ks", 0.05, true],
    ["chi-square p_value", 0.05, false],
    ["some new p_value", 0.04, true],
    ["Anderson-Darling", 0.04, true],
    ["Fisher's Exact test", 0.06, false],
    ["Total-Variation-Distance", 0.04, true],
    ["Energy-distance", 0.05, false],
    ["PSI", 0.05, true],
    ["Hellinger distance", 0.04, false],
    ["kl_div", Number.POSITIVE_INFINITY, true],
    ["kl_div", "inf", true],
  ])("compares %s with the threshold 0.05: of %s, drift is %s", (method, value, triggered) => {
    const { checks } = detectorOf("evidently").parse({
      metrics: [metric({ column: "age", method, threshold: 0.05 }, value)],
    });
    expect(checks).toMatchObject([{ feature: "age", triggered }]);
  });

  it.each(["ERROR", "SKIPPED"])("falls back on the method if the linked test has the status %s", (status) => {
    const metrics = [metric({ column: "age", method: "ks", threshold: 0.05 }, 0.01)];
    const report = detectorOf("evidently").parse({ metrics, tests: [driftTest(status)] });
    expect(report.checks).toMatchObject([{ triggered: true, score: 2 }]);
    expect(report.ignored).toEqual([`tests[0]: its status is ${status}`]);
  });

  it.each([null, Number.NaN, "NaN", undefined])(
    "leaves out a column whose value is %s, and says so",
    (value) => {
      const metrics = [metric({ column: "age", method: "psi", threshold: 0.1 }, value)];
      expect(detectorOf("evidently").parse({ metrics })).toEqual({
        checks: [],
        ignored: ["metrics[0]: age has no value"],
      });
      const tested = detectorOf("evidently").parse({ metrics, tests: [driftTest("FAIL")] });
      expect(show(tested)).toEqual([["age", null, 0.1, true]]);
    },
  );

  it.each([
    [
      { metrics: [metric({ column: "age", method: "magic", threshold: 1 }, 2)] },
      'metrics[0].config.method is "magic": this method is unknown; compute the report with include_tests=True',
    ],
    [
      { metrics: [metric({ column: "age", method: "perc_text_content_drift", threshold: 1 }, 2)] },
      "this method compares its score with another figure",
    ],
    [
      { metrics: [metric({ column: "age", threshold: 1 }, 2)] },
      "metrics[0].config.method is missing: the method decides what is drift",
    ],
    [
      { metrics: [metric({ column: "age", method: "psi" }, 2)] },
      "metrics[0].config.threshold is missing: expected the threshold of psi",
    ],
    [
      { metrics: [metric({ column: "age", method: "psi", threshold: 0.1 }, { a: 1 })] },
      "metrics[0].value is an object: must be a number",
    ],
    [
      { metrics: [metric({ column: "age", method: "ks", threshold: 0.05 }, 1.2)] },
      "metrics[0].value is 1.2: a p-value must be from 0 to 1",
    ],
    [
      { metrics: [metric({ column: "a\nb", method: "psi", threshold: 0.05 }, 1)] },
      'metrics[0].config.column is "a\\nb": must not contain control characters',
    ],
    [
      { metrics: [metric({ method: "psi", threshold: 0.05 }, 1)] },
      "metrics[0].config.column is missing: must be a name",
    ],
    [
      { metrics: [{ config: { type: "evidently:metric_v3:ValueDrift" } }] },
      'metrics[0].config.type is "evidently:metric_v3:ValueDrift": expected evidently:metric_v2:ValueDrift',
    ],
    [
      { metrics: [{ metric_name: "EmbeddingsDrift(x=1)", value: 1 }] },
      'metrics[0] is "EmbeddingsDrift": expected ValueDrift',
    ],
    [
      { metrics: [{ metric: "EmbeddingsDriftMetric", result: {} }] },
      'metrics[0].metric is "EmbeddingsDriftMetric"',
    ],
    [
      { metrics: [{ metric: "ColumnDriftMetric", result: null }] },
      "metrics[0].result is null: must be an object with column_name",
    ],
    [
      { metrics: [{ metric_name: "ValueDrift(column=a,foo=1,method=psi,threshold=1)", value: 1 }] },
      "expected no further parameters",
    ],
    [
      { metrics: [{ value: 1 }] },
      "metrics[0].metric_id is missing: expected a metric such as ValueDrift(column=age)",
    ],
    [{ metrics: [7] }, "metrics[0] is 7: must be an object"],
    [{ metrics: [], tests: [{ ...driftTest("MAYBE") }] }, 'tests[0].status is "MAYBE": expected FAIL'],
    [
      { metrics: [{ metric_name: "RowCount()" }] },
      "it has no drift check: compute the report with DataDriftPreset",
    ],
    [{ metric_results: {} }, "the document is an object: expected an object with the list metrics"],
    [[], "the document is an array of 0"],
    [null, "the document is null"],
  ])("refuses %j", (document, fault) => {
    expect(faultOf(() => detectorOf("evidently").parse(document))).toContain(fault);
  });

  it("names all faults at once, twenty of them", () => {
    const metrics = Array.from({ length: 30 }, () =>
      metric({ column: "", method: "psi", threshold: 1 }, "x"),
    );
    const fault = faultOf(() => detectorOf("evidently").parse({ metrics }));
    expect(fault).toContain("60 faults in the Evidently report:\n  - metrics[0].config.column");
    expect(fault).toContain("… and 40 more");
  });

  it("takes at most 1,000 checks", () => {
    const metrics = Array.from({ length: LIMITS.checks + 1 }, (_, index) =>
      metric({ column: `c${index}`, method: "psi", threshold: 1 }, 0),
    );
    expect(detectorOf("evidently").parse({ metrics: metrics.slice(1) }).checks).toHaveLength(LIMITS.checks);
    expect(faultOf(() => detectorOf("evidently").parse({ metrics }))).toContain("it has 1001 drift checks");
  });

  it("refuses two verdicts about the same column and method, and takes the stronger of two equal ones", () => {
    const settings = { column: "age", method: "psi", threshold: 0.1 };
    const parse = (...values: number[]) =>
      detectorOf("evidently").parse({ metrics: values.map((value) => metric(settings, value)) });
    expect(show(parse(0.2, 0.3, 0.25))).toEqual([["age", 0.3, 0.1, true]]);
    expect(faultOf(() => parse(0.2, 0.05))).toContain('metrics[1] is "age": this feature was checked before');
  });
});
