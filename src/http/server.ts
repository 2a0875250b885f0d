import type { AddressInfo } from "node:net";
import type { Queue } from "bullmq";
import express, { type NextFunction, type Request, type Response } from "express";
import type { Config } from "../config/config.ts";
import { PermanentError } from "../core/errors.ts";
import type { Logger } from "../process/logger.ts";
import type { Database } from "../postgres/database.ts";
import { explain } from "../redis/refusal.ts";
import type { RedisWatch } from "../redis/watch.ts";
import { createDashboard } from "./routes/bull-board.ts";
import { createCallbacks, CALLBACK_PATHS } from "./routes/callbacks.ts";
import { createDecisionPages, DECISION_PATHS } from "./routes/decisions.ts";
import { createMetrics } from "./routes/metrics.ts";
import { answers, askRedis, checkReadiness } from "./readiness.ts";

export interface ServerDependencies {
  config: Config;
  database: Database;
  redisWatch: RedisWatch;
  /** Must fail fast: pages respond at once even while Redis is away. */
  queues: Queue[];
  log: Logger;
}

/** Serves Bull Board, the decisions and the health checks until `close`. */
export async function startServer(
  dependencies: ServerDependencies,
): Promise<{ address: string; close: () => Promise<void> }> {
  const { config, redisWatch, database, log } = dependencies;
  const app = express().disable("x-powered-by");
  app.get("/", (_, response) => response.redirect("/queues"));
  app.get("/healthz", (_, response) => void response.json({ status: "ok" }));
  app.get("/readyz", async (_, response) => {
    const readiness = await checkReadiness(database, redisWatch);
    response.status(readiness.isReady ? 200 : 503).json(readiness);
  });
  // Bull Board stays open while Redis refuses writes: reading works, and jobs can be deleted from a full one.
  const whenRedisIsThere = unlessAway("Redis", async () => (await askRedis(redisWatch)).kind !== "away");
  app.use("/queues", whenRedisIsThere, createDashboard("/queues", dependencies.queues));
  const whenPostgresIsThere = unlessAway("Postgres", () => answers(() => database.ping()));
  app.use([...DECISION_PATHS, "/metrics"], whenPostgresIsThere);
  app.use([...CALLBACK_PATHS, "/metrics"], whenRedisIsThere);
  app.use(CALLBACK_PATHS, unlessRefusing(redisWatch));
  app.use(createCallbacks(dependencies));
  app.use(createMetrics(dependencies));
  app.use(createDecisionPages(database, config.timeZone));
  app.use((error: unknown, _request: Request, response: Response, next: NextFunction) => {
    if (response.headersSent) return next(error);
    // Body parsers attach the status of a bad request, such as one that is too large, to the error.
    const fault =
      error instanceof Error && "status" in error && typeof error.status === "number" ? error.status : null;
    if (fault === null) log.warn({ err: error }, "request failed");
    const status = fault ?? (error instanceof PermanentError ? 500 : 503);
    response.status(status).json({ error: error instanceof Error ? error.message : "failed" });
  });
  return listen(app, config);
}

async function listen(app: express.Express, { host, port }: Config) {
  const server = app.listen(port, host);
  await new Promise<void>((resolve, reject) => {
    server.once("listening", resolve);
    server.once("error", (error: NodeJS.ErrnoException) => {
      const isTaken = error.code === "EADDRINUSE";
      reject(
        isTaken
          ? new PermanentError("PORT_TAKEN", `Port ${port} on ${host} is taken. Set PORT to a free one`, {
              cause: error,
            })
          : new PermanentError(
              "LISTEN",
              `Cannot listen on ${host}:${port}: ${error.message}. Check HOST and PORT`,
              { cause: error },
            ),
      );
    });
  });
  const { port: actualPort } = server.address() as AddressInfo;
  const shownHost = host.includes(":") ? `[${host}]` : host;
  return {
    address: `http://${shownHost}:${actualPort}`,
    close: () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

/** Responds 503 at once while a server is away, instead of letting a page wait for it. */
function unlessAway(server: string, isThere: () => Promise<boolean>) {
  return async (_: Request, response: Response, next: NextFunction): Promise<void> => {
    if (await isThere()) return next();
    response
      .status(503)
      .type("text")
      .send(`${server} is away. This page is back as soon as ${server} is: see /readyz\n`);
  };
}

/** Responds 503 with the reason while Redis refuses writes, so that the sender retries. */
function unlessRefusing(watch: RedisWatch) {
  return async (_: Request, response: Response, next: NextFunction): Promise<void> => {
    const state = await askRedis(watch);
    if (state.kind !== "refusing") return next();
    response.status(503).json({ error: explain(state.refusal) });
  };
}
