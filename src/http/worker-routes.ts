import type { Route } from "./route.ts";
import { health } from "./routes/health.ts";
import { workerMetrics } from "./routes/metrics.ts";

/** All routes of a worker without pages that serves METRICS_PORT. */
export const WORKER_ROUTES: readonly Route[] = [health, workerMetrics];
