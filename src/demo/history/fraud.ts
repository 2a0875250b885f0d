import {
  createDailyRuns,
  HOUR_MS,
  type ModelHistory,
  type SampleFeature,
  type Step,
  timeOfRun,
} from "./model-history.ts";

const MODEL = "fraud";
const RUN_AGO_MS = 40 * 60_000;
const DRIFT_DAY = 12;

const FEATURES: readonly SampleFeature[] = [
  {
    feature: "amount_psi",
    threshold: 0.2,
    usual: 0.08,
    unusual: { 13: 0.163, [DRIFT_DAY]: 0.287, 2: 0.131, 1: 0.174, 0: 0.341 },
  },
  { feature: "merchant_ks", threshold: 0.05, usual: 0.027 },
  { feature: "null_rate", threshold: 0.01, usual: 0.002 },
];

/** A drift twelve days ago, for which a person approved a training that improved the model; and a new one today, whose training awaits an approval. */
export function createFraudHistory(now: Date): ModelHistory {
  const timeOf = (day: number): number => timeOfRun(now, day, RUN_AGO_MS);
  const approval: Step = {
    at: timeOf(DRIFT_DAY) + 3 * HOUR_MS,
    run: (service) =>
      service.approve(MODEL, { by: "Mira", reason: "Holiday payments are larger; the drift is real" }),
  };
  const outcome: Step = {
    at: timeOf(DRIFT_DAY) + 9 * HOUR_MS,
    run: (service) =>
      service.reportOutcome(MODEL, { metric: "pr_auc", before: 0.713, after: 0.748, promoted: true }),
  };
  const runs = createDailyRuns(MODEL, FEATURES, { rows: 4_200, timeOf });
  return { model: MODEL, steps: [...runs, approval, outcome], trainings: [] };
}
