import { describe, expect, it } from "vitest";
import { detectorOf, faultOf, type Json, parseFixture, readFixture, show } from "../../support/detectors.ts";

describe("NannyML", () => {
  const rows = readFixture("nannyml") as Record<string, Json>[];
  const parse = (document: unknown) => detectorOf("nannyml").parse(document);
  const analysis = (own: object) => [{ chunk_period: "analysis", ...own }];

  it("reports the newest chunk of the analysis period", () => {
    const report = parseFixture("nannyml");
    expect(show(report)).toEqual([
      ["car_value (jensen_shannon)", 0.31, 0.1, true],
      ["car_value (wasserstein)", 0.2, 0.5, false],
      ["salary_range", 12.5, null, true],
      ["tenure", 0.002, null, true],
    ]);
    expect(report.checks).toMatchObject(
      report.checks.map(() => ({ checkedAt: "2025-03-31T23:59:59.999Z", samples: 1000 })),
    );
    expect(report.checks[3]?.notes).toBe("kolmogorov_smirnov 0.002 < 0.01, chunk 2025-03");
    expect(report.ignored).toEqual([
      "1 chunk(s) of the reference period",
      "1 chunk(s) before 2025-03",
      "[1].debt_hellinger: it has no alert, neither true nor false",
    ]);
  });

  it("reads frames in the orients split and columns too", () => {
    const columns = Object.keys(rows[0] ?? {});
    const split = { columns, index: [0, 1, 2], data: rows.map((row) => columns.map((name) => row[name])) };
    const series = Object.fromEntries(
      columns.map((name) => [name, Object.fromEntries(rows.map((row, index) => [index, row[name]]))]),
    );
    expect(parse(split)).toEqual(parse(rows));
    expect(parse(series)).toEqual(parse(rows));
  });

  it.each([
    ["2025-01-31 23:59:59.999999999", "2025-01-31T23:59:59.999Z"],
    ["2025-01-31", "2025-01-31T00:00:00.000Z"],
    ["2025-01-31T12:00:00+02:00", "2025-01-31T10:00:00.000Z"],
    [1738367999999, "2025-01-31T23:59:59.999Z"],
    ["2999-12-31T00:00:00", null],
    [null, null],
  ])("dates a chunk that ends at %s: %s", (end, checkedAt) => {
    const chunk = analysis({ chunk_end_date: end, a_chi2_alert: true, a_chi2_value: 3 });
    expect(parse(chunk).checks).toMatchObject([{ feature: "a", checkedAt }]);
  });

  it("reads drift of all columns together", () => {
    const chunk = analysis({
      domain_classifier_auroc_alert: true,
      domain_classifier_auroc_value: 0.9,
      domain_classifier_auroc_upper_threshold: 0.6,
    });
    expect(show(parse(chunk))).toEqual([["domain_classifier_auroc", 0.9, 0.6, true]]);
  });

  it.each([
    [
      analysis({ a_magic_alert: true }),
      "[0].a_magic_alert is true: expected <column>_<method>_alert with one of the methods jensen_shannon",
    ],
    [analysis({ a_chi2_alert: "yes" }), '[0].a_chi2.alert is "yes": must be true or false'],
    [analysis({ a_chi2_alert: true, a_chi2_value: "high" }), '[0].a_chi2.value is "high": must be a number'],
    [
      analysis({ chunk_end_date: 1738367999, a_chi2_alert: true }),
      "[0].chunk_end_date is 1738367999: must be an ISO 8601 time, or milliseconds",
    ],
    [analysis({ chunk_end_date: "soon" }), '[0].chunk_end_date is "soon"'],
    [[{ chunk_period: "test" }], '[0].chunk_period is "test": expected reference or analysis'],
    [[{ chunk_period: "reference" }], "expected at least one chunk whose chunk_period is analysis"],
    [analysis({}), "it has no drift check"],
    [[{ "('chunk', 'chunk', 'period')": "analysis" }], "to_df(multilevel=False)"],
    [[], "the document is an array of 0"],
    [{ columns: ["chunk_period"], data: [[1, 2]] }, "expected a list of objects"],
  ])("refuses %j", (document, fault) => {
    expect(faultOf(() => parse(document))).toContain(fault);
  });
});
