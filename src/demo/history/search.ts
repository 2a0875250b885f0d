import {
  createDailyRuns,
  HOUR_MS,
  type ModelHistory,
  type SampleFeature,
  type Step,
  timeOfRun,
} from "./model-history.ts";
import type { PastService } from "./past-service.ts";

const MODEL = "search";
const RUN_AGO_MS = 2 * HOUR_MS;

const FEATURES: readonly SampleFeature[] = [
  { feature: "query_ks", threshold: 0.05, usual: 0.026, unusual: { 2: 0.112 } },
  { feature: "click_psi", threshold: 0.2, usual: 0.09, unusual: { 17: 0.463, 9: 0.224, 1: 0.447 } },
  { feature: "empty_results", threshold: 0.04, usual: 0.018 },
];

/**
 * A drift 17 days ago whose training failed and succeeded at the second attempt; a weak one, which was not enough; one two days
 * ago for which the model was trained in vain; and one yesterday, during the cooldown.
 */
export function createSearchHistory(now: Date): ModelHistory {
  const timeOf = (day: number): number => timeOfRun(now, day, RUN_AGO_MS);
  const reportOn = (day: number, report: Parameters<PastService["reportOutcome"]>[1]): Step => ({
    at: timeOf(day) + 6 * HOUR_MS,
    run: (service) => service.reportOutcome(MODEL, report),
  });
  return {
    model: MODEL,
    steps: [
      ...createDailyRuns(MODEL, FEATURES, { rows: 31_000, timeOf }),
      reportOn(17, { metric: "ndcg@10", before: 0.402, after: 0.437, promoted: true }),
      reportOn(2, { metric: "ndcg@10", before: 0.437, after: 0.436, promoted: false }),
    ],
    trainings: [
      { conclusion: "failure", message: "Exit code 1", durationSeconds: 372 },
      { conclusion: "success", message: null, durationSeconds: 1_463 },
      { conclusion: "success", message: null, durationSeconds: 1_518 },
    ],
  };
}
