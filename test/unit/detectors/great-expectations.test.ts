import { describe, expect, it } from "vitest";
import { detectorOf, faultOf, parseFixture, show } from "../../support/detectors.ts";

describe("Great Expectations", () => {
  const result = (own: object, success = true) => ({
    results: [
      { success, expectation_config: { type: "expect_column_to_exist", kwargs: { column: "a" } }, ...own },
    ],
  });

  it("makes a check of each expectation", () => {
    const report = parseFixture("great-expectations");
    expect(show(report)).toEqual([
      ["age: expect_column_values_to_not_be_null", 12, 5, true],
      ["city: expect_column_kl_divergence_to_be_less_than", 0.04, 0.1, false],
      ["age: expect_column_mean_to_be_between", 1, null, true],
      ["age: expect_column_mean_to_be_between (2)", 0, null, false],
      ["expect_table_row_count_to_be_between", 0, null, false],
    ]);
    expect(report.ignored).toEqual([
      "results[5]: gone: expect_column_max_to_be_between could not be evaluated",
    ]);
  });

  it.each([
    [
      result({ expectation_config: { expectation_type: "expect_x", kwargs: {} } }),
      "results[0].expectation_config.type is missing: must be the type of an expectation, as version 1.x writes it",
    ],
    [result({ success: "yes" }), 'results[0].success is "yes": must be true or false'],
    [
      result({ result: { unexpected_percent: "many" } }),
      'results[0].result.unexpected_percent is "many": must be a number',
    ],
    [
      result({
        expectation_config: {
          type: "expect_column_kl_divergence_to_be_less_than",
          kwargs: { threshold: "low" },
        },
      }),
      'results[0].expectation_config.kwargs.threshold is "low"',
    ],
    [
      { ...result({}), meta: { great_expectations_version: "0.18.3" } },
      'meta.great_expectations_version is "0.18.3": expected 1.x',
    ],
    [{ results: [] }, "it has no drift check: the suite has no expectations"],
    [{ run_results: {} }, "of a checkpoint, send each of its results"],
  ])("refuses %j", (document, fault) => {
    expect(faultOf(() => detectorOf("great-expectations").parse(document))).toContain(fault);
  });
});
