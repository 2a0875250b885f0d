import type { AddressInfo } from "node:net";
import express, { type NextFunction, type Request, type Response } from "express";
import type { Config } from "../config/config.ts";
import { PermanentError } from "../core/errors.ts";
import { explain } from "../redis/refusal.ts";
import type { RedisWatch } from "../redis/watch.ts";
import { fetchRedisState, isResponsive } from "./readiness.ts";
import type { Route, RouteDependencies } from "./route.ts";
import { ROUTES } from "./routes.ts";

/** Serves the routes until `close` is called. */
export async function startServer(
  dependencies: RouteDependencies,
): Promise<{ address: string; close: () => Promise<void> }> {
  const { config, log } = dependencies;
  const app = express().disable("x-powered-by");
  for (const { paths, requires, create } of ROUTES) {
    if (requires.length > 0) app.use(paths, ...requires.map((need) => toMiddleware(need, dependencies)));
    app.use(create(dependencies));
  }
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

function toMiddleware(need: Route["requires"][number], { database, redisWatch }: RouteDependencies) {
  switch (need) {
    case "postgres":
      return requireUp("Postgres", () => isResponsive(() => database.ping()));
    case "redis":
      return requireUp("Redis", async () => (await fetchRedisState(redisWatch)).kind !== "away");
    case "redis writes":
      return requireWritable(redisWatch);
    default:
      return need satisfies never;
  }
}

async function listen(app: express.Express, { host, port }: Pick<Config, "host" | "port">) {
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

/** Responds 503 at once while a server is away, instead of letting the page wait for it. */
function requireUp(server: string, isUp: () => Promise<boolean>) {
  return async (_: Request, response: Response, next: NextFunction): Promise<void> => {
    if (await isUp()) return next();
    respondUnavailable(server, response);
  };
}

/** Responds 503 with the reason while Redis is away or refuses writes, so that the sender retries. */
function requireWritable(watch: RedisWatch) {
  return async (_: Request, response: Response, next: NextFunction): Promise<void> => {
    const state = await fetchRedisState(watch);
    switch (state.kind) {
      case "ready":
        return next();
      case "away":
        return respondUnavailable("Redis", response);
      case "refusing":
        return void response.status(503).json({ error: explain(state.refusal) });
      default:
        return state satisfies never;
    }
  };
}

function respondUnavailable(server: string, response: Response): void {
  response
    .status(503)
    .type("text")
    .send(`${server} is away. This page returns once ${server} is back: see /readyz\n`);
}
