import { describe, expect, it } from "vitest";
import { detectorOf, faultOf, parseFixture, show } from "../../support/detectors.ts";

describe("SageMaker", () => {
  const violation = (own: object) => ({
    violations: [{ constraint_check_type: "baseline_drift_check", ...own }],
  });

  it("takes drift from its fixture, and lists the other violations", () => {
    const report = parseFixture("sagemaker");
    expect(show(report)).toEqual([
      ["age", 0.27, 0.2, true],
      ["income", null, null, true],
      ["label0: shap", 0.25, 1 - 0.9, true],
      ["age=40: CI", null, null, true],
    ]);
    expect(report.ignored).toEqual(["violations[2]: completeness_check of city is no drift check"]);
  });

  it.each([
    ["Numerical distance: 0.2711598 exceeds numerical threshold: 0.1", 0.2711598, 0.1],
    ["distance=1.5e-1, threshold=0.1", 0.15, 0.1],
    ["distance: 0.05 exceeds threshold: 0.1", 0.05, null],
    ["distance: NaN exceeds threshold: 0.1", null, 0.1],
    ["", null, null],
    [undefined, null, null],
  ])("reads the figures of %j leniently", (description, score, threshold) => {
    const { checks } = detectorOf("sagemaker").parse(violation({ feature_name: "age", description }));
    expect(checks).toMatchObject([{ score, threshold, triggered: true }]);
  });

  it("reports no drift if there is no violation", () => {
    expect(detectorOf("sagemaker").parse({ violations: [] })).toEqual({ checks: [], ignored: [] });
  });

  it.each([
    [violation({}), "violations[0].feature_name is missing: must be a name"],
    [violation({ feature_name: "a", description: 3 }), "violations[0].description is 3: must be a text"],
    [
      violation({ constraint_check_type: "new_check" }),
      'violations[0].constraint_check_type is "new_check": expected baseline_drift_check',
    ],
    [{ violations: [null] }, "violations[0] is null: must be an object"],
    [{}, "expected an object with the list violations"],
  ])("refuses %j", (document, fault) => {
    expect(faultOf(() => detectorOf("sagemaker").parse(document))).toContain(fault);
  });
});
