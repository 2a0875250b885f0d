import { Router } from "express";
import { observeProcess, renderMetrics } from "../../process/metrics.ts";
import { createStateReader } from "../metrics/shared-state.ts";
import { createStateGauges } from "../metrics/state-gauges.ts";
import type { Route, RouteDependencies } from "../route.ts";

/** Prometheus metrics at `/metrics`: what this process counted, and the state that all processes share. */
export const metrics = createMetricsRoute((dependencies) => {
  const read = createStateReader(dependencies);
  const setGauges = createStateGauges(dependencies.registry);
  return async () => setGauges(await read());
});

/** The same for a worker: only what it counted itself, so that many workers do not all read the shared state. */
export const workerMetrics = createMetricsRoute(() => async () => {});

/** @param createRefresh Returns a function that is called before each scrape. */
function createMetricsRoute(createRefresh: (dependencies: RouteDependencies) => () => Promise<void>): Route {
  return {
    doors: [{ method: "GET", path: "/metrics", role: "viewer", anyHost: true }],
    // That a server is away is something to report.
    requires: [],
    create(dependencies) {
      observeProcess();
      const refresh = createRefresh(dependencies);
      const router = Router();
      router.get("/metrics", async (_, response) => {
        await refresh();
        response.type("text/plain; version=0.0.4").send(await renderMetrics(dependencies.registry));
      });
      return router;
    },
  };
}
