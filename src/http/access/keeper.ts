import type { NextFunction, Request, RequestHandler, Response } from "express";
import { type Actor, grants, hideTokens, type Role } from "../../core/access.ts";
import type { AuditResult } from "../../postgres/audit.ts";
import type { Database } from "../../postgres/database.ts";
import type { Logger } from "../../process/logger.ts";
import { respondProblem } from "../problem.ts";
import { ask } from "./ask.ts";
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

const passed = new WeakMap<Request, Actor & { role: Role }>();

/** The caller of a request. @throws Error behind a door that is open to everybody. */
export function callerOf(request: Request): Actor & { role: Role } {
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
  const refusals = createThrottle(MAX_RECORDED_REFUSALS);

  function findDoor(request: Request, response: Response, next: NextFunction): void {
    const path = pathOf(request);
    const { door, allowed } =
      path === null || !isNormal(path) ? { door: null, allowed: [] } : doors.find(request.method, path);
    // Neither Postgres nor Redis takes a text with one.
    if (request.originalUrl.includes("%00"))
      return respondProblem(response, 400, "BAD_INPUT", "The address contains a NUL character");
    // A receiver may know a signed door by another name.
    const takesAnyHost = door?.role === "signed" || door?.anyHost === true;
    if (!takesAnyHost && !origins.isOwnHost(request.get("host")))
      return respondProblem(response, ...WRONG_HOST);
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
      (origins.isOwnHost(request.get("host")) || isBearer(identity) ? null : WRONG_HOST) ??
      findCrossSiteRead(request, identity) ??
      (isChange ? findChangeFault(request, door, origins, isBearer(identity)) : null);
    if (refusal) {
      const [status, code, detail] = await throttleFailure(identity, refusal);
      if (status === 401) response.set("WWW-Authenticate", 'Bearer realm="retrigger"');
      if (status !== 503 && (isChange || status === 403))
        await recordRefusal(request, identity.actor, status, code);
      if (status === 401 && isPage(request)) return response.redirect(302, loginAddress(request));
      return respondProblem(response, status, code, detail);
    }
    if (identity.kind !== "known") throw new Error("a caller without identity passed");
    passed.set(request, identity.actor);
    if (isChange && !(await beginAudit(request, response, identity.actor))) return;
    next();
  }

  /** Whoever tries too many wrong tokens is told to wait. A right one is never refused for the wrong ones of others. */
  async function throttleFailure(identity: Identity, refusal: Refusal): Promise<Refusal> {
    const isFailure =
      identity.kind === "rejected" && (await identifier.isGuessing(identity.actor.address ?? ""));
    return isFailure ? TOO_MANY_FAILURES : refusal;
  }

  /** A flood of refusals is not recorded in full. */
  async function recordRefusal(request: Request, actor: Actor, status: number, code: string): Promise<void> {
    if (await refusals.isTooOften(actor.address ?? "")) return;
    const named = { ...actor, name: actor.name === "" ? "nobody" : actor.name };
    await dependencies.database
      .recordRefusal(named, describe(request), { status, detail: code })
      .catch((error: unknown) => log.debug({ err: error }, "a refusal was not recorded"));
  }

  /** Records the intent. Without it nothing is changed. Returns whether the request may go on. */
  async function beginAudit(request: Request, response: Response, actor: Actor): Promise<boolean> {
    const id = await ask(() => dependencies.database.beginAudit(actor, describe(request)));
    if (id === "unknown") {
      respondProblem(
        response,
        503,
        "SERVER_AWAY",
        "Postgres is away, so the change cannot be recorded. Send it again later",
      );
      return false;
    }
    const finish = (result: AuditResult): void =>
      void dependencies.database
        .finishAudit(id, result)
        .catch((error: unknown) =>
          log.warn({ err: error, audit: id }, "the result of a change was not recorded"),
        );
    if (request.socket.destroyed) {
      finish({ result: "refused", status: null, detail: "the caller went away before it began" });
      return false;
    }
    recorded.add(request);
    // What the route did counts, whether or not the caller is still there to hear it.
    const end = response.end.bind(response) as (...values: unknown[]) => Response;
    response.end = (...values: unknown[]) => {
      const { statusCode: status } = response;
      finish({ result: status >= 500 ? "failed" : status >= 400 ? "refused" : "done", status, detail: null });
      response.end = end;
      return end(...values);
    };
    return true;
  }

  return [findDoor, admit];
}

/** How many refusals of an address are recorded in a minute. */
const MAX_RECORDED_REFUSALS = 60;

const WRONG_HOST: Refusal = [421, "WRONG_HOST", "The Host header names neither this service nor PUBLIC_URL"];

const TOO_MANY_FAILURES: Refusal = [
  429,
  "TOO_MANY_FAILURES",
  "Too many wrong tokens from this address. Wait a minute",
];

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

/** Another site's page learns nothing, but must not put load on a service that takes it for a local caller. */
function findCrossSiteRead(request: Request, identity: Identity): Refusal | null {
  const isForeign = ["cross-site", "same-site"].includes(request.get("sec-fetch-site") ?? "");
  const isLocal = identity.kind === "known" && identity.actor.means === "local";
  const isOpened =
    request.get("sec-fetch-mode") === "navigate" &&
    (request.get("sec-fetch-dest") ?? "document") === "document";
  return isLocal && isForeign && !isOpened ? CROSS_SITE : null;
}

const CROSS_SITE: Refusal = [
  403,
  "CROSS_SITE",
  "A change needs a token, or the header Origin with this service's own address",
];

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
  if (!isOwn || !isSameOrigin) return CROSS_SITE;
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
    target: hideTokens(pathOf(request) ?? "").slice(0, 500),
  };
}

/** Whether a person opened a page in a browser. */
function isPage(request: Request): boolean {
  return request.method === "GET" && request.get("sec-fetch-mode") === "navigate";
}

function loginAddress(request: Request): string {
  return `/login?next=${encodeURIComponent(request.originalUrl)}`;
}
