import type { Queue } from "bullmq";
import { Router } from "express";
import type { Database } from "../postgres/database.ts";
import type { DispatchCount } from "../postgres/dispatches.ts";

/** Prometheus metrics at `/metrics`: BullMQ's own of each queue, and the dispatches by state. */
export function createMetrics({ database, queues }: { database: Database; queues: Queue[] }): Router {
  const router = Router();
  router.get("/metrics", async (_, response) => {
    const [counts, ...jobs] = await Promise.all([
      database.countDispatches(),
      ...queues.map((queue) => queue.exportPrometheusMetrics()),
    ]);
    response.type("text/plain; version=0.0.4").send(`${joinFamilies(jobs)}\n${renderDispatches(counts)}\n`);
  });
  return router;
}

/** Prometheus wants a metric's lines together, below one description. */
function joinFamilies(texts: string[]): string {
  const families = new Map<string, Set<string>>();
  for (const line of texts.join("\n").split("\n")) {
    const name = /^(?:# (?:HELP|TYPE) )?([A-Za-z_:][\w:]*)/.exec(line)?.[1];
    if (name !== undefined) families.set(name, (families.get(name) ?? new Set()).add(line));
  }
  return [...families.values()].flatMap((lines) => [...lines]).join("\n");
}

function renderDispatches(counts: DispatchCount[]): string {
  return [
    "# HELP retrigger_dispatches Dispatches by state; unknown ones wait for a person",
    "# TYPE retrigger_dispatches gauge",
    ...counts.map(
      ({ model, trainer, state, count }) =>
        `retrigger_dispatches{model="${model}",trainer="${trainer}",state="${state}"} ${count}`,
    ),
  ].join("\n");
}
