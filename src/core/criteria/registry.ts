import { bufferSize } from "./buffer-size.ts";
import { driftAlerts } from "./drift-alerts.ts";
import { recentDriftChecks } from "./recent-drift-checks.ts";

/** The criteria: all must hold. They are reported in this order. */
export const CRITERIA = [recentDriftChecks, driftAlerts, bufferSize] as const;
