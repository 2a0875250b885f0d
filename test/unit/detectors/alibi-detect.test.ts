import { describe, expect, it } from "vitest";
import { detectorOf, faultOf, LOG_05, parseFixture, show } from "../../support/detectors.ts";

describe("Alibi Detect", () => {
  const meta = { name: "KSDrift", detector_type: "drift" };
  const parse = (data: object, others: object = {}) =>
    detectorOf("alibi-detect").parse({ data, meta, ...others });

  it("understands its fixtures", () => {
    expect(show(parseFixture("alibi-detect"))).toEqual([["MMDDrift", 0.02, 0.004, true]]);
    expect(show(parseFixture("alibi-detect-univariate"))).toEqual([
      ["age", 4, -Math.log10(0.025), true],
      ["income", -Math.log10(0.4), -Math.log10(0.025), false],
    ]);
  });

  it.each([
    [
      "names features by their position if it must",
      { is_drift: [1, 0], p_val: [0.01, 0.5], threshold: 0.05 },
      [
        ["feature 0", 2, LOG_05, true],
        ["feature 1", -Math.log10(0.5), LOG_05, false],
      ],
    ],
    [
      "lets is_drift settle what p_val contradicts",
      { is_drift: [0], p_val: [0.01], threshold: 0.05 },
      [["feature 0", 2, null, false]],
    ],
    [
      "takes a batch without drift at its word",
      { is_drift: 0, p_val: [0.01], threshold: 0.05 },
      [["feature 0", 2, null, false]],
    ],
    [
      "reports the batch if no feature explains its drift",
      { is_drift: 1, p_val: [0.4, 0.2], threshold: 0.05 },
      [["KSDrift", null, null, true]],
    ],
    [
      "reports the batch if there are no p-values",
      { is_drift: 1, distance: [0.4, 0.2] },
      [["KSDrift", null, null, true]],
    ],
    [
      "weighs a p-value without a distance threshold",
      { is_drift: true, p_val: 0.01, distance: 0.3, threshold: 0.05 },
      [["KSDrift", 2, LOG_05, true]],
    ],
    ["needs no more than a verdict", { is_drift: 1 }, [["KSDrift", null, null, true]]],
  ])("%s", (_, data, checks) => {
    expect(show(parse(data))).toEqual(checks);
  });

  it("takes names from the document or from meta", () => {
    const data = { is_drift: 0, p_val: [0.5], threshold: 0.05 };
    expect(parse(data, { feature_names: ["age"] }).checks[0]?.feature).toBe("age");
    expect(parse(data, { meta: { ...meta, feature_names: ["age"] } }).checks[0]?.feature).toBe("age");
  });

  it.each([
    [{ data: { is_drift: 2 }, meta }, "data.is_drift is 2: must be 0 or 1"],
    [{ data: { is_drift: 1, p_val: [0.1, "x"] }, meta }, 'data.p_val[1] is "x": must be a number'],
    [{ data: { is_drift: 1, p_val: 2 }, meta }, "data.p_val is 2: a p-value must be from 0 to 1"],
    [
      { data: { is_drift: 1, p_val: [0.1], distance: [0.1, 0.2] }, meta },
      "data.distance is an array of 2: must have 1 values",
    ],
    [
      { data: { is_drift: 1, p_val: [0.1] }, meta, feature_names: ["a", "b"] },
      "feature_names is an array of 2: must have 1 names",
    ],
    [{ data: { is_drift: 1 }, meta: { ...meta, online: true } }, "meta.online is true: must be false"],
    [
      { data: { is_drift: 1 }, meta: { ...meta, detector_type: "outlier" } },
      'meta.detector_type is "outlier": must be drift',
    ],
    [{ data: { is_drift: 1 } }, "meta is missing: must be an object with name"],
    [[], "expected an object with data and meta"],
  ])("refuses %j", (document, fault) => {
    expect(faultOf(() => detectorOf("alibi-detect").parse(document))).toContain(fault);
  });
});
