import type { AddressInfo } from "node:net";
import { createServer, type Server } from "node:http";
import express, { type NextFunction, type Request, type Response } from "express";
import helmet from "helmet";
import type { Config } from "../config/config.ts";
import { PermanentError } from "../core/errors.ts";
import { createDoorTable } from "./access/doors.ts";
import { createIdentifier } from "./access/identity.ts";
import { createKeeper, doorOf } from "./access/keeper.ts";
import { createOrigins, isLoopback } from "./access/origins.ts";
import { createServerClose } from "./close-server.ts";
import { refuseConnection, respondProblem, toProblem, UNEXPECTED } from "./problem.ts";
import { requireServers } from "./requirements.ts";
import type { Route, RouteDependencies } from "./route.ts";

/** A client that sends its headers or its body more slowly is cut off. */
const HEADERS_LIMIT_MS = 10_000;
const REQUEST_LIMIT_MS = 30_000;
const MAX_CONNECTIONS = 2_000;

export interface ServerOptions extends Omit<RouteDependencies, "identifier" | "origins"> {
  routes: readonly Route[];
  port: number;
  /** The setting that names the port. */
  portSetting: "PORT" | "METRICS_PORT";
}

/**
 * Serves the routes until `close` is called.
 * @throws PermanentError if it listens beyond this machine and nobody could be recognized.
 */
export async function startServer(
  options: ServerOptions,
): Promise<{ address: string; close: () => Promise<void> }> {
  const { config, database } = options;
  const server = createServer({
    headersTimeout: HEADERS_LIMIT_MS,
    requestTimeout: REQUEST_LIMIT_MS,
    connectionsCheckingInterval: 1_000,
  });
  server.maxConnections = MAX_CONNECTIONS;
  server.on("clientError", refuseConnection);
  const origins = createOrigins(config.publicUrl, () => (server.address() as AddressInfo | null)?.port ?? 0);
  const isBoundToLoopback = isLoopback(config.host);
  const identifier = createIdentifier({ settings: config, database, origins, isBoundToLoopback });
  const isGuarded = await identifier.hasAuthentication();
  if (!isBoundToLoopback && !isGuarded) throw describeOpenDoor(config, options);
  server.on("request", buildApp({ ...options, identifier, origins }));
  return listen(server, config, options);
}

function describeOpenDoor(
  { host }: Pick<Config, "host">,
  { portSetting }: Pick<ServerOptions, "portSetting">,
): PermanentError {
  const opened = portSetting === "PORT" ? "pages" : "metrics";
  return new PermanentError(
    "NO_AUTHENTICATION",
    `HOST=${host} would open the ${opened} to other machines, and nobody needs a token yet. ` +
      "Create one (npx retrigger token create --role admin --name NAME), set ADMIN_TOKEN, " +
      "set TRUSTED_PROXY and PROXY_ROLES, or set HOST=127.0.0.1: see docs/security.md",
  );
}

function buildApp({
  routes,
  ...dependencies
}: RouteDependencies & Pick<ServerOptions, "routes">): express.Express {
  const { identifier, origins, database, redact, log } = dependencies;
  const app = express().disable("x-powered-by").enable("case sensitive routing").enable("strict routing");
  const doors = createDoorTable(routes.flatMap((route) => route.doors));
  app.use(secureHeaders(origins.isSecure));
  app.use(createKeeper({ doors, origins, identifier, database, log }));
  for (const { doors: own, requires, create } of routes) {
    const route = express.Router();
    for (const step of requireServers(requires, dependencies)) route.use(step);
    route.use(create(dependencies));
    // A route sees only what comes through its own doors.
    app.use((request, response, next) =>
      own.includes(doorOf(request)) ? route(request, response, next) : next(),
    );
  }
  app.use((_: Request, response: Response) =>
    respondProblem(response, 404, "NOT_FOUND", "There is no such path"),
  );
  app.use((error: unknown, _request: Request, response: Response, next: NextFunction) => {
    if (response.headersSent) return next(error);
    const problem = toProblem(error);
    if (problem)
      return respondProblem(response, problem.status, problem.code, redact(problem.detail), {
        isBegun: true,
      });
    log.warn({ err: error }, "request failed");
    respondProblem(response, UNEXPECTED.status, UNEXPECTED.code, UNEXPECTED.detail, { isBegun: true });
  });
  return app;
}

/** No script or style but our own, no frame, and nothing that another site could read. */
function secureHeaders(isSecure: boolean) {
  return helmet({
    contentSecurityPolicy: {
      useDefaults: false,
      directives: {
        defaultSrc: ["'self'"],
        scriptSrc: ["'self'"],
        // Bull Board and Swagger UI set styles in their elements.
        styleSrc: ["'self'", "'unsafe-inline'"],
        imgSrc: ["'self'", "data:"],
        objectSrc: ["'none'"],
        baseUri: ["'self'"],
        formAction: ["'self'"],
        frameAncestors: ["'none'"],
      },
    },
    frameguard: { action: "deny" },
    strictTransportSecurity: isSecure ? { maxAge: 31_536_000 } : false,
    referrerPolicy: { policy: "same-origin" },
  });
}

async function listen(
  server: Server,
  { host }: Pick<Config, "host">,
  { port, portSetting }: Pick<ServerOptions, "port" | "portSetting">,
) {
  server.listen(port, host);
  await new Promise<void>((resolve, reject) => {
    server.once("listening", resolve);
    server.once("error", (error: NodeJS.ErrnoException) => {
      const isTaken = error.code === "EADDRINUSE";
      reject(
        isTaken
          ? new PermanentError(
              "PORT_TAKEN",
              `Port ${port} on ${host} is taken. Set ${portSetting} to a free one`,
              {
                cause: error,
              },
            )
          : new PermanentError(
              "LISTEN",
              `Cannot listen on ${host}:${port}: ${error.message}. Check HOST and ${portSetting}`,
              { cause: error },
            ),
      );
    });
  });
  const { port: actualPort } = server.address() as AddressInfo;
  const shownHost = host.includes(":") ? `[${host}]` : host;
  return {
    address: `http://${shownHost}:${actualPort}`,
    close: createServerClose(server),
  };
}
