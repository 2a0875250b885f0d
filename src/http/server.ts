import type { AddressInfo } from "node:net";
import type { Queue } from "bullmq";
import express, { type NextFunction, type Request, type Response } from "express";
import type { Redis } from "ioredis";
import type { Config } from "../config.ts";
import { PermanentError } from "../errors.ts";
import type { Logger } from "../logger.ts";
import type { Database } from "../postgres/database.ts";
import { createDashboard } from "./bull-board.ts";
import { createDecisionPages } from "./decisions.ts";
import { checkReadiness } from "./readiness.ts";

export interface ServerDependencies {
  config: Config;
  database: Database;
  /** Must fail fast: a page is answered at once, also while Redis is away. */
  redis: Redis;
  queues: Queue[];
  log: Logger;
}

/** Serves Bull Board, the decisions and the health checks until `close`. */
export async function startServer(
  dependencies: ServerDependencies,
): Promise<{ address: string; close: () => Promise<void> }> {
  const { config, redis, database, log } = dependencies;
  const app = express().disable("x-powered-by");
  app.get("/", (_, response) => response.redirect("/queues"));
  app.get("/healthz", (_, response) => void response.json({ status: "ok" }));
  app.get("/readyz", async (_, response) => {
    const readiness = await checkReadiness(database, redis);
    response.status(readiness.isReady ? 200 : 503).json(readiness);
  });
  app.use("/queues", whenRedisIsThere(redis), createDashboard("/queues", dependencies.queues));
  app.use(createDecisionPages(database, config.timeZone));
  app.use((error: unknown, _request: Request, response: Response, next: NextFunction) => {
    if (response.headersSent) return next(error);
    log.warn({ err: error }, "request failed");
    const status = error instanceof PermanentError ? 500 : 503;
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

function whenRedisIsThere(redis: Redis) {
  return (_: Request, response: Response, next: NextFunction): void => {
    if (redis.status === "ready") return next();
    response
      .status(503)
      .type("text")
      .send("Redis is away. Bull Board is back as soon as Redis is: see /readyz\n");
  };
}
