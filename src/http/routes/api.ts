import express, { type Request, type Response, Router } from "express";
import { z } from "zod";
import { parseInput } from "../../core/parse.ts";
import { createRequester } from "../../use-cases/client.ts";
import type { Door } from "../access/doors.ts";
import { callerOf } from "../access/keeper.ts";
import { keepOnce } from "../api/idempotency.ts";
import { buildOpenApi } from "../api/openapi.ts";
import type { AnyOperation, ApiDependencies, Operation, Reply } from "../api/operation.ts";
import { OPERATIONS } from "../api/operations.ts";
import { boardOf } from "../../outgoing/page-links.ts";
import { requireServers } from "../requirements.ts";
import type { Route, RouteDependencies } from "../route.ts";

const PREFIX = "/api/v1";
const DOCUMENT = `${PREFIX}/openapi.json`;
const BODY_LIMIT = "1mb";

const pathOf = ({ path }: Pick<AnyOperation, "path">): string =>
  PREFIX + path.replaceAll(/\{(\w+)\}/g, ":$1");

/** The API, and its description in OpenAPI. */
export const api: Route = {
  doors: [
    ...OPERATIONS.map((each): Door => ({ method: each.method, path: pathOf(each), role: each.role })),
    { method: "GET", path: DOCUMENT, role: "viewer" },
  ],
  requires: [],
  create(dependencies) {
    const router = Router({ caseSensitive: true, strict: true });
    const { queues, config } = dependencies;
    const own: ApiDependencies = {
      ...dependencies,
      client: createRequester(queues, (queue) => boardOf(config, queue)),
    };
    const document = JSON.stringify(buildOpenApi(OPERATIONS));
    router.get(DOCUMENT, (_, response) => void response.type("json").send(document));
    for (const each of OPERATIONS) addTo(router, each, own, dependencies);
    return router;
  },
};

function addTo(
  router: Router,
  operation: Operation,
  dependencies: ApiDependencies,
  route: RouteDependencies,
): void {
  const { method, requires, bodyLimit = BODY_LIMIT, handle } = operation;
  const steps = [
    ...requireServers(requires, route),
    operation.bodyAs === "text"
      ? express.text({ limit: bodyLimit, type: () => true })
      : express.json({ limit: bodyLimit, type: () => true, strict: false }),
    async (request: Request, response: Response): Promise<void> => {
      const call = readCall(operation, request);
      const reply = () => handle(call, dependencies);
      const key = method === "GET" ? undefined : request.get("idempotency-key");
      respond(response, key === undefined ? await reply() : await keepOnce(dependencies, call, key, reply));
    },
  ];
  const path = pathOf(operation);
  if (method === "GET") router.get(path, ...steps);
  else if (method === "POST") router.post(path, ...steps);
  else router.delete(path, ...steps);
}

const NOTHING = z.strictObject({});

/** @throws PermanentError that names each faulty field. */
function readCall(operation: Operation, request: Request) {
  const { params = NOTHING, query = NOTHING, body, parse } = operation;
  const given: unknown = request.body;
  return {
    params: parseInput(params, request.params, "path"),
    query: parseInput(query, request.query, "query"),
    body: parse
      ? parse(given, request)
      : parseInput(body ?? NOTHING, given === undefined ? {} : given, "body"),
    caller: callerOf(request),
    request,
  };
}

function respond(
  response: Response,
  { status, body, headers = {}, type = "application/json", stream }: Reply,
): void {
  response.status(status).set("Cache-Control", "no-store").set(headers);
  if (stream) {
    response.type(type).flushHeaders();
    stream(response);
  } else if (body === undefined) response.end();
  else response.type(type).send(typeof body === "string" ? body : JSON.stringify(body));
}
