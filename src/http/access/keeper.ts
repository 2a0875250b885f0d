import type { NextFunction, Request, RequestHandler, Response } from "express";
import { type Actor, grants, type Role } from "../../core/access.ts";
import type { Database } from "../../postgres/database.ts";
import { isSettledWithin } from "../../process/lifecycle.ts";
import type { Logger } from "../../process/logger.ts";
import { respondProblem } from "../problem.ts";
import { type Door, type DoorTable, isNormal } from "./doors.ts";
import type { Identifier, Identity } from "./identity.ts";
import type { Origins } from "./origins.ts";
import { createThrottle } from "./throttle.ts";

export interface KeeperDependencies {
  doors: DoorTable;
  origins: Origins;
  identifier: Identifier;
  database: Pick<Database, "beginAudit" | "finishAudit" | "recordRefusal">;
  log: Logger;
}

/** What the keeper found out about a request that passed. */
interface Passed {
  actor: Actor & { role: Role };
  tokenId: string | null;
}

const passed = new WeakMap<Request, Passed>();

/** The caller of a request. @throws Error behind a door that is open to everybody. */
export function callerOf(request: Request): Passed {
  const caller = passed.get(request);
  if (!caller) throw new Error(`no caller is known at ${request.path}`);
  return caller;
}

const recorded = new WeakSet<Request>();

/** Whether the intent of a change was just recorded, so that Postgres is there. */
export const isRecorded = (request: Request): boolean => recorded.has(request);

const SAFE_METHODS = ["GET", "HEAD"];

/**
 * Stands in front of every route: lets a request pass only through a door of the table, under one of our names, from a caller
 * whose role the door admits, and never a change that another site's page sent. Each change is recorded: the intent before,
 * the result after, and refusals too.
 */
export function createKeeper(dependencies: KeeperDependencies): RequestHandler[] {
  const { doors, origins, identifier, log } = dependencies;
  const throttle = createThrottle(identifier.addressOf);

  function findDoor(request: Request, response: Response, next: NextFunction): void {
    const path = pathOf(request);
    const { door, allowed } =
      path === null || !isNormal(path) ? { door: null, allowed: [] } : doors.find(request.method, path);
    // A receiver may know a signed door by another name.
    if (door?.role !== "signed" && !origins.isOwnHost(request.get("host")))
      return respondProblem(
        response,
        421,
        "WRONG_HOST",
        "The Host header names neither this service nor PUBLIC_URL",
      );
    if (door) {
      found.set(request, door);
      return next();
    }
    if (allowed.length === 0) return respondProblem(response, 404, "NOT_FOUND", "There is no such path");
    response.set("Allow", allowed.join(", "));
    respondProblem(response, 405, "METHOD_NOT_ALLOWED", `This path takes ${allowed.join(", ")}`);
  }

  async function admit(request: Request, response: Response, next: NextFunction): Promise<void> {
    const door = doorOf(request);
    if (door.role === "signed") return next();
    const isChange = !SAFE_METHODS.includes(request.method);
    if (door.role === "open") {
      const fault = isChange ? findChangeFault(request, door, origins, false) : null;
      return fault ? respondProblem(response, ...fault) : next();
    }
    const identity = await identifier.identify(request);
    const refusal =
      findRefusal(identity, door.role) ??
      (isChange ? findChangeFault(request, door, origins, isBearer(identity)) : null);
    if (refusal) {
      const [status, code, detail] = refusal;
      if (status === 401) response.set("WWW-Authenticate", 'Bearer realm="retrigger"');
      if (isChange || status === 403) await recordRefusal(request, identity.actor, status, code);
      if (status === 401 && isPage(request)) return response.redirect(302, loginAddress(request));
      return respondProblem(response, status, code, detail);
    }
    if (identity.kind !== "known") throw new Error("a caller without identity passed");
    passed.set(request, { actor: identity.actor, tokenId: identity.tokenId });
    if (isChange && !(await beginAudit(request, response, identity.actor))) return;
    next();
  }

  async function recordRefusal(request: Request, actor: Actor, status: number, code: string): Promise<void> {
    const named = { ...actor, name: actor.name === "" ? "nobody" : actor.name };
    await dependencies.database
      .recordRefusal(named, describe(request), { status, detail: code })
      .catch((error: unknown) => log.debug({ err: error }, "a refusal was not recorded"));
  }

  /** Records the intent. Without it nothing is changed. Returns whether the request may go on. */
  async function beginAudit(request: Request, response: Response, actor: Actor): Promise<boolean> {
    const id = await answerWithin(dependencies.database.beginAudit(actor, describe(request)));
    if (id === null) {
      respondProblem(
        response,
        503,
        "SERVER_AWAY",
        "Postgres is away, so the change cannot be recorded. Send it again later",
      );
      return false;
    }
    recorded.add(request);
    response.once("close", () => {
      const { statusCode: status } = response;
      const result =
        !response.writableFinished || status >= 500 ? "failed" : status >= 400 ? "refused" : "done";
      const detail = response.writableFinished ? null : "the caller did not wait for the response";
      dependencies.database
        .finishAudit(id, { result, status, detail })
        .catch((error: unknown) =>
          log.warn({ err: error, audit: id }, "the result of a change was not recorded"),
        );
    });
    return true;
  }

  return [findDoor, throttle, admit];
}

/** Postgres responds within milliseconds; a caller waits this long at most. */
const RESPONSE_LIMIT_MS = 1_000;

/** What Postgres answers; null if it does not, or not in time. */
async function answerWithin(call: Promise<string>): Promise<string | null> {
  const answer = call.catch(() => null);
  return (await isSettledWithin(answer, RESPONSE_LIMIT_MS)) ? answer : null;
}

const found = new WeakMap<Request, Door>();

/** The door through which a request came. */
export function doorOf(request: Request): Door {
  const door = found.get(request);
  if (!door) throw new Error("no door was found yet");
  return door;
}

type Refusal = [status: number, code: string, detail: string];

function findRefusal(identity: Identity, required: Role): Refusal | null {
  switch (identity.kind) {
    case "known":
      return grants(identity.actor.role, required)
        ? null
        : [403, "FORBIDDEN", `This needs the role ${required}, and you have ${identity.actor.role}`];
    case "without role":
      return [403, "FORBIDDEN", "None of your groups has a role: see PROXY_ROLES"];
    case "unknown":
      return [503, "SERVER_AWAY", "Postgres is away, so nobody can be recognized. Send it again later"];
    case "rejected":
      return [401, "UNAUTHORIZED", "The token is unknown, revoked or expired"];
    case "anonymous":
      return [401, "UNAUTHORIZED", "Send a token: Authorization: Bearer rt_…  (npx retrigger token create)"];
    default:
      return identity satisfies never;
  }
}

/** A browser attaches a token to no request of its own, so another site cannot use it. */
function isBearer(identity: Identity): boolean {
  return identity.kind === "known" && identity.actor.means === "token";
}

/** Why a change must not be made: it may have been sent by another site's page, or its body is not what is expected. */
function findChangeFault(request: Request, door: Door, origins: Origins, isBearer: boolean): Refusal | null {
  const site = request.get("sec-fetch-site");
  const origin = request.get("origin");
  const isSameOrigin = origin === undefined || origins.isSame(origin, request.get("host") ?? "");
  const isOwn = site === undefined ? origin !== undefined || isBearer : site === "same-origin";
  if (!isOwn || !isSameOrigin)
    return [
      403,
      "CROSS_SITE",
      "A change needs a token, or the header Origin with this service's own address",
    ];
  const hasBody =
    request.headers["transfer-encoding"] !== undefined || Number(request.get("content-length") ?? 0) > 0;
  const type = (request.get("content-type") ?? "").split(";")[0]?.trim().toLowerCase() ?? "";
  const isExpected =
    /^application\/([a-z0-9.-]+\+)?json$/.test(type) ||
    (door.takesForm && type === "application/x-www-form-urlencoded");
  if (hasBody && !isExpected)
    return [415, "UNSUPPORTED_MEDIA_TYPE", "Send JSON: Content-Type: application/json"];
  return null;
}

/** The path as it was sent; null for a target that is not a path. */
function pathOf(request: Request): string | null {
  const { originalUrl } = request;
  return originalUrl.startsWith("/") ? (originalUrl.split(/[?#]/)[0] ?? null) : null;
}

function describe(request: Request): { action: string; target: string } {
  return {
    action: `${request.method} ${doorOf(request).path}`,
    target: (pathOf(request) ?? "").slice(0, 500),
  };
}

/** Whether a person opened a page in a browser. */
function isPage(request: Request): boolean {
  return request.method === "GET" && request.get("sec-fetch-mode") === "navigate";
}

function loginAddress(request: Request): string {
  return `/login?next=${encodeURIComponent(request.originalUrl)}`;
}
