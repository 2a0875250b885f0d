import { Router } from "express";
import type { DispatchCount } from "../../postgres/dispatch-lists.ts";
import type { Route } from "../route.ts";

/**
 * Prometheus metrics at `/metrics`: the jobs of each queue by state, and the dispatches by state. The names match
 * BullMQ's own export. Its counters of completed and failed jobs are left out: they stay 0 unless each worker collects metrics.
 */
export const metrics: Route = {
  doors: [{ method: "GET", path: "/metrics", role: "viewer", anyHost: true }],
  requires: ["postgres", "redis"],
  create({ database, queues }) {
    const router = Router();
    router.get("/metrics", async (_, response) => {
      const [dispatches, ...jobs] = await Promise.all([
        database.countDispatches(),
        ...queues.map(async (queue) => ({ queue: queue.name, counts: await queue.getJobCounts() })),
      ]);
      const lines = [...renderJobs(jobs), ...renderDispatches(dispatches)];
      response.type("text/plain; version=0.0.4").send(`${lines.join("\n")}\n`);
    });
    return router;
  },
};

function renderJobs(jobs: { queue: string; counts: Record<string, number> }[]): string[] {
  return [
    "# HELP bullmq_job_count Number of jobs in the queue by state",
    "# TYPE bullmq_job_count gauge",
    ...jobs.flatMap(({ queue, counts }) =>
      Object.entries(counts).map(
        ([state, count]) => `bullmq_job_count{queue="${queue}", state="${state}"} ${count}`,
      ),
    ),
  ];
}

function renderDispatches(counts: DispatchCount[]): string[] {
  return [
    "# HELP retrigger_dispatches Dispatches by state; an unknown one must be settled by hand",
    "# TYPE retrigger_dispatches gauge",
    ...counts.map(
      ({ model, trainer, state, count }) =>
        `retrigger_dispatches{model="${escapeLabel(model)}",trainer="${escapeLabel(trainer)}",state="${escapeLabel(state)}"} ${count}`,
    ),
  ];
}

/** Escapes a value as the exposition format requires, so that it cannot end its label. */
function escapeLabel(value: string): string {
  return value.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n");
}
