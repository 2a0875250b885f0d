import {
  createDailyRuns,
  HOUR_MS,
  type ModelHistory,
  type SampleFeature,
  timeOfRun,
} from "./model-history.ts";

const MODEL = "search";
const RUN_AGO_MS = 2 * HOUR_MS;

const FEATURES: readonly SampleFeature[] = [
  { feature: "query_ks", threshold: 0.05, usual: 0.026, unusual: { 2: 0.112 } },
  { feature: "click_psi", threshold: 0.2, usual: 0.09, unusual: { 17: 0.463, 9: 0.224, 1: 0.447 } },
  { feature: "empty_results", threshold: 0.04, usual: 0.018 },
];

/**
 * A drift 17 days ago whose training failed and succeeded at the second attempt; a weak one, which was not enough; one two days
 * ago that the model was trained for; and one yesterday, during the cooldown.
 */
export function createSearchHistory(now: Date): ModelHistory {
  return {
    model: MODEL,
    steps: createDailyRuns(MODEL, FEATURES, {
      rows: 31_000,
      timeOf: (day) => timeOfRun(now, day, RUN_AGO_MS),
    }),
    trainings: [
      { conclusion: "failure", message: "Exit code 1", durationSeconds: 372 },
      { conclusion: "success", message: null, durationSeconds: 1_463 },
      { conclusion: "success", message: null, durationSeconds: 1_518 },
    ],
  };
}
