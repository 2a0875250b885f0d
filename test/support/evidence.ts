import { type DriftCheck, Evidence } from "../../src/core/evidence.ts";
import { type Policy, policyOf, type PolicySettings } from "../../src/core/policy.ts";

export { GUIDE_POLICY } from "../../src/core/policy.ts";

/** The guide's thresholds. */
const GUIDE_SETTINGS: PolicySettings = {
  minBufferSize: 50_000,
  lookbackHours: 168,
  minAlertsTriggered: 1,
  retriggerGuard: true,
  inFlightGuard: true,
  backoffSeconds: 3_600,
};

/** The guide's policy, with some thresholds changed. */
export function guidePolicy(changes: Partial<PolicySettings> = {}): Policy {
  return policyOf({ ...GUIDE_SETTINGS, ...changes });
}

const KS: DriftCheck = {
  id: "148",
  checkedAt: "2025-12-21T14:54:00.020Z",
  feature: "rating_distribution_ks",
  score: 0.0975,
  threshold: 0.05,
  triggered: true,
  notes: "KS test p-value: 0.0000",
};

/** The guide's own data: alert #148 and two more, 700,000 ratings in seven batches. */
export function guideEvidence(): Evidence {
  const sisters: DriftCheck[] = [
    { ...KS, id: "147", feature: "rating_mean", score: 0.045, threshold: 0.1, triggered: false, notes: null },
    { ...KS, id: "146", feature: "rating_std", score: 0.012, threshold: 0.15, triggered: false, notes: null },
  ];
  return Evidence.parse({
    takenAt: "2025-12-21T15:30:00Z",
    checks: { total: 3, triggered: 1, newest: [KS, ...sisters], newestTriggered: [KS] },
    alerts: { ids: ["148"], unanswered: 1, answeredBy: [], failed: [] },
    inFlight: [],
    buffer: {
      size: 700_000,
      batchCount: 7,
      batches: Array.from({ length: 7 }, (_, index) => ({
        batch: `batch_w${index + 1}`,
        ratings: 100_000,
        earliestRating: 1_760_000_000,
        latestRating: 1_766_000_000,
      })),
    },
    lastDecisions: [
      {
        id: 2,
        decidedAt: "2025-12-20T10:15:00Z",
        decision: "no_action",
        bufferSize: 500_000,
        driftScore: null,
        nextLookAt: null,
      },
      {
        id: 1,
        decidedAt: "2025-12-19T09:45:00Z",
        decision: "no_action",
        bufferSize: 300_000,
        driftScore: null,
        nextLookAt: null,
      },
    ],
  });
}

/** Evidence with the given numbers of checks, triggered alerts, unanswered alerts and ratings. */
export function evidenceOf({
  checks,
  triggered,
  unanswered = triggered,
  ratings,
}: {
  checks: number;
  triggered: number;
  unanswered?: number;
  ratings: number;
}): Evidence {
  const alerts = Array.from({ length: triggered }, (_, index) => ({ ...KS, id: String(1000 - index) }));
  return Evidence.parse({
    ...guideEvidence(),
    checks: { total: checks, triggered, newest: alerts, newestTriggered: alerts },
    alerts: { ids: alerts.map(({ id }) => id), unanswered, answeredBy: [] },
    buffer: {
      size: ratings,
      batchCount: 1,
      batches: [{ batch: null, ratings, earliestRating: null, latestRating: null }],
    },
  });
}
