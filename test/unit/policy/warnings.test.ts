import { describe, expect, it } from "vitest";
import { type Evidence } from "../../../src/core/evidence.ts";
import { findUnshrunkBuffer } from "../../../src/core/explain/warnings.ts";
import type { Fault } from "../../../src/core/fields.ts";
import { GUIDE_POLICY, parsePolicy, type Policy } from "../../../src/core/policy.ts";
import { renderFindings } from "../../../src/core/report/findings.ts";
import { guideEvidence } from "../../support/evidence.ts";

function policy(when: object): Policy {
  const faults: Fault[] = [];
  const parsed = parsePolicy({ when }, GUIDE_POLICY, [], faults);
  expect(faults).toEqual([]);
  return parsed;
}

function warn(
  {
    size = 200_000,
    before = 200_000 as number | null,
    ...buffer
  }: Partial<Evidence["buffer"]> & {
    before?: number | null;
  } = {},
  own = GUIDE_POLICY,
) {
  const shared = { size, unit: "events", isSinceTraining: false, smallestSince: null, ...buffer };
  return findUnshrunkBuffer(
    {
      buffer: shared,
      trainings: { lastSucceeded: { decisionId: 12, at: "2026-11-20T00:00:00Z", bufferSize: before } },
    },
    own,
  );
}

describe("a buffer that did not shrink after a successful training", () => {
  it("is reported with its sizes and the setting", () => {
    expect(warn()).toEqual({
      code: "buffer_did_not_shrink",
      text: "the buffer did not shrink after the training of decision #12 (200,000 events before, 200,000 now): the same events count again. Empty it after training, or set source.buffer.since: lastTraining",
    });
    expect(warn({ size: 260_000, smallestSince: 200_000 })?.text).toContain("260,000 now");
  });

  it.each([
    ["it is smaller now", { size: 199_999 }],
    ["a later decision saw a smaller one", { size: 260_000, smallestSince: 0 }],
    ["only what arrived since the training counts", { isSinceTraining: true }],
    ["the decision's size is unknown", { before: null }],
    ["the decision saw none", { before: 0 }],
  ])("is not reported if %s", (_, given) => {
    expect(warn(given)).toBeNull();
  });

  it("is not reported if the policy does not rely on the size, or counts growth as well", () => {
    const alerts = { driftAlerts: 1 };
    expect(warn({}, policy({ all: [alerts, { bufferSize: 1 }] }))).not.toBeNull();
    expect(warn({}, policy({ all: [alerts] }))).toBeNull();
    expect(warn({}, policy({ all: [alerts, { bufferSize: 0 }] }))).toBeNull();
    expect(warn({}, policy({ all: [alerts, { bufferSize: 1 }, { bufferGrowth: 1 }] }))).toBeNull();
  });
});

describe("the date range of the report", () => {
  it.each([1, 1e3, 1e6, 1e9])("is right for Unix seconds times %d", (factor) => {
    const evidence = guideEvidence();
    const [first] = evidence.buffer.batches;
    const batch = {
      batch: "a",
      ratings: 5,
      ...first,
      earliestRating: 1.76e9 * factor,
      latestRating: 1.766e9 * factor,
    };
    const text = renderFindings({
      evidence: { ...evidence, buffer: { ...evidence.buffer, batches: [batch] } },
      policy: GUIDE_POLICY,
      timeZone: "UTC",
    });
    expect(text).toContain("Ratings given from 2025-10-09 08:53 to 2025-12-17 19:33");
  });
});
