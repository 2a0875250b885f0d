import { bufferSize } from "./buffer-size.ts";
import { driftAlerts } from "./drift-alerts.ts";
import { recentDriftChecks } from "./recent-drift-checks.ts";

/** All criteria must hold. The report lists them in this order. */
export const CRITERIA = [recentDriftChecks, driftAlerts, bufferSize] as const;
