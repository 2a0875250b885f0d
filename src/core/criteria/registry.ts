import type { Criterion } from "../check.ts";
import { bufferGrowth } from "./buffer-growth.ts";
import { bufferSize } from "./buffer-size.ts";
import { consecutiveRuns } from "./consecutive-runs.ts";
import { cusum } from "./cusum.ts";
import { driftAlerts } from "./drift-alerts.ts";
import { features } from "./features.ts";
import { maxAge } from "./max-age.ts";
import { quantile } from "./quantile.ts";
import { recentDriftChecks } from "./recent-drift-checks.ts";
import { sampleFloor } from "./sample-floor.ts";
import { severity } from "./severity.ts";
import { waitingCost } from "./waiting-cost.ts";

/** The criteria of which a policy's condition can consist. To add one, write one file and add one line here. */
export const CRITERIA: readonly Criterion[] = [
  recentDriftChecks,
  driftAlerts,
  bufferSize,
  features,
  consecutiveRuns,
  severity,
  quantile,
  cusum,
  sampleFloor,
  maxAge,
  bufferGrowth,
  waitingCost,
];
