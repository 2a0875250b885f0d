import { createBullBoard } from "@bull-board/api";
import { BullMQAdapter } from "@bull-board/api/bullMQAdapter";
import { ExpressAdapter } from "@bull-board/express";
import { Router } from "express";
import type { Route } from "../route.ts";

const PATH = "/queues";

/**
 * Bull Board over all queues: history, logs, flows, retries. Every stage is safe to retry. It stays open while Redis refuses
 * writes: reading works, and deleting jobs frees memory in a full Redis.
 */
export const bullBoard: Route = {
  paths: [PATH],
  requires: ["redis"],
  create({ queues }) {
    const serverAdapter = new ExpressAdapter();
    serverAdapter.setBasePath(PATH);
    createBullBoard({
      queues: queues.map((queue) => new BullMQAdapter(queue)),
      serverAdapter,
      options: { uiConfig: { boardTitle: "Retrigger" } },
    });
    return Router().use(PATH, serverAdapter.getRouter() as Router);
  },
};
