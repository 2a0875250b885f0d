import express, { type Request, type Response, Router } from "express";
import { grants } from "../../core/access.ts";
import { createRequester } from "../../use-cases/client.ts";
import { createPageReader } from "../../use-cases/page-reader.ts";
import { callerOf } from "../access/keeper.ts";
import { ACTIONS } from "../actions/actions.ts";
import { noticeOf } from "../actions/notices.ts";
import { renderFrame } from "../layout.tsx";
import { listNavigation } from "../navigation.ts";
import type { PageCall, PageDependencies, PageReply, View } from "../pages/page.ts";
import { PAGES } from "../pages/pages.ts";
import { requireServers } from "../requirements.ts";
import type { Origins } from "../access/origins.ts";
import type { Route } from "../route.ts";

/** The pages, and the changes that their forms make. */
export const pages: Route = {
  doors: [
    ...PAGES.map(({ path, role }) => ({ method: "GET", path, role })),
    ...ACTIONS.map(({ path, role }) => ({ method: "POST", path, role, takesForm: true as const })),
  ],
  requires: [],
  create(dependencies) {
    const own: PageDependencies = {
      ...dependencies,
      client: createRequester(dependencies.queues),
      reader: createPageReader(dependencies.database),
    };
    // A link from elsewhere must not claim that something was done.
    const findNotice = (request: Request): string | null =>
      isFromOurs(request, dependencies.origins) ? noticeOf(request.query["done"]) : null;
    const router = Router({ caseSensitive: true, strict: true });
    for (const { path, requires, load } of PAGES)
      router.get(path, ...requireServers(requires, dependencies), async (request, response) => {
        // Read before the rest, so that the page learns of every change since.
        const version = requires.includes("postgres") ? `"${await own.database.readVersion()}"` : null;
        if (version === null || request.get("if-none-match") !== version)
          respond(request, response, await load(toCall(request), own), {
            version,
            notice: findNotice(request),
          });
        else response.status(304).set("Cache-Control", "no-store").end();
      });
    for (const { path, requires, run } of ACTIONS)
      router.post(
        path,
        ...requireServers(requires, dependencies),
        express.urlencoded({ limit: "64kb", extended: false }),
        async (request, response) => {
          const fields = toTexts((request.body ?? {}) as Record<string, unknown>);
          respond(request, response, await run({ ...toCall(request), fields }, own), NOTHING);
        },
      );
    return router;
  },
};

function toCall(request: Request): PageCall {
  const caller = callerOf(request);
  return {
    params: request.params as Record<string, string>,
    query: toTexts(request.query),
    caller,
    mayAct: grants(caller.role, "operator"),
    now: Date.now(),
  };
}

/** Fields of a form or a query; of one that is given several times, the last. An empty one counts as absent. */
function toTexts(values: Readonly<Record<string, unknown>>): Record<string, string | undefined> {
  return Object.fromEntries(
    Object.entries(values).flatMap(([name, given]) => {
      const value: unknown = Array.isArray(given) ? given.at(-1) : given;
      return typeof value === "string" && value !== "" ? [[name, value]] : [];
    }),
  );
}

/** What a frame shows besides the page. */
interface Context {
  version: string | null;
  notice: string | null;
}
const NOTHING: Context = { version: null, notice: null };

function respond(request: Request, response: Response, reply: PageReply, context: Context): void {
  response.set("Cache-Control", "no-store");
  if ("redirect" in reply) return response.redirect(303, reply.redirect);
  if ("csv" in reply) return void response.type("text/csv").attachment(reply.name).send(reply.csv);
  response
    .status(reply.status ?? 200)
    .type("html")
    .send(frame(request, reply, context));
}

function frame(
  request: Request,
  { title, tone, refreshMs, model, body }: View,
  { version, notice }: Context,
): string {
  return renderFrame({
    title,
    tone,
    live: { refreshMs, version, model },
    caller: callerOf(request),
    navigation: listNavigation(request.path),
    notice,
    children: body,
  });
}

/** Whether a page of ours led here. */
function isFromOurs(request: Request, origins: Origins): boolean {
  const site = request.get("sec-fetch-site");
  if (site !== undefined) return site === "same-origin";
  // Browsers send that header only over https and to this machine.
  const { origin } = URL.parse(request.get("referer") ?? "") ?? {};
  return origin !== undefined && origins.isSame(origin, request.get("host") ?? "");
}
