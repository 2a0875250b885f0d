import type { RequestHandler, Response } from "express";
import { explain } from "../redis/refusal.ts";
import { isRecorded } from "./access/keeper.ts";
import { respondProblem } from "./problem.ts";
import { fetchRedisState, isResponsive } from "./readiness.ts";
import type { Route, RouteDependencies } from "./route.ts";

/** Steps that respond 503 at once while a server is away, instead of letting the caller wait for it. */
export function requireServers(
  needs: Route["requires"],
  dependencies: Pick<RouteDependencies, "database" | "redisWatch">,
): RequestHandler[] {
  return needs.map((need) => toStep(need, dependencies));
}

function toStep(
  need: Route["requires"][number],
  { database, redisWatch }: Pick<RouteDependencies, "database" | "redisWatch">,
): RequestHandler {
  switch (need) {
    case "postgres":
      return requireUp("Postgres", () => isResponsive(() => database.ping()));
    case "redis":
      return requireUp("Redis", async () => (await fetchRedisState(redisWatch)).kind !== "away");
    case "redis writes":
      return async (_, response, next) => {
        const state = await fetchRedisState(redisWatch);
        if (state.kind === "ready") return next();
        if (state.kind === "away") return respondUnavailable(response, "Redis");
        respondProblem(response, 503, "REDIS_REFUSES", explain(state.refusal));
      };
    default:
      return need satisfies never;
  }
}

function requireUp(server: string, isUp: () => Promise<boolean>): RequestHandler {
  return async (request, response, next) => {
    // A change was recorded a moment ago.
    if ((server === "Postgres" && isRecorded(request)) || (await isUp())) return next();
    respondUnavailable(response, server);
  };
}

function respondUnavailable(response: Response, server: string): void {
  const text = `${server} is away. This page returns once ${server} is back: see /readyz`;
  respondProblem(response, 503, "SERVER_AWAY", text);
}
