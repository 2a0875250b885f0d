import express, { type Response, Router } from "express";
import { z } from "zod";
import type { Origins } from "../access/origins.ts";
import { readCookie } from "../access/identity.ts";
import { audited } from "../../use-cases/audited.ts";
import { type LoginForm, renderLogin } from "../login-page.tsx";
import type { Route } from "../route.ts";

/** Logs a browser in: a pasted token starts a session, which ends after a while, or with its token. */
export const login: Route = {
  doors: [
    { method: "GET", path: "/login", role: "open" },
    { method: "POST", path: "/login", role: "open", takesForm: true },
    { method: "POST", path: "/logout", role: "open", takesForm: true },
  ],
  requires: ["postgres"],
  create({ database, identifier, origins }) {
    const router = Router();
    router.get("/login", (request, response) => {
      respondPage(response, 200, { next: nextOf(request.query["next"]), fault: null });
    });
    router.post(
      "/login",
      express.urlencoded({ limit: "4kb" }),
      express.json({ limit: "4kb" }),
      async (request, response) => {
        const given = Login.safeParse(request.body);
        const token = given.success ? given.data.token.trim() : "";
        const next = nextOf(given.success ? given.data.next : undefined);
        const holder = await identifier.readToken(token);
        const address = identifier.addressOf(request);
        const action = { action: "POST /login", target: "/login" };
        if (holder === "unknown")
          return respondPage(response, 503, { next, fault: "Postgres is away. Try again later." });
        if (holder === "rejected") {
          const nobody = { name: "nobody", role: null, means: "token", address, tokenId: null } as const;
          await database.recordRefusal(nobody, action, { status: 401, detail: "UNAUTHORIZED" });
          return (await identifier.isGuessing(address))
            ? respondPage(response, 429, {
                next,
                fault: "Too many wrong tokens from this address. Wait a minute.",
              })
            : respondPage(response, 401, { next, fault: "The token is unknown, revoked or expired." });
        }
        const actor = { ...holder, means: "token", address } as const;
        const session = await audited(database, actor, { ...action, status: 303 }, () =>
          database.startSession(holder.tokenId, identifier.settingsHash),
        );
        setCookie(response, origins, session);
        response.redirect(303, next);
      },
    );
    router.post("/logout", async (request, response) => {
      const session = readCookie(request, origins.cookieName);
      if (session !== null) {
        const holder = await database.findSessionHolder(session, identifier.settingsHash);
        const action = { action: "POST /logout", target: "/logout", status: 303 };
        const address = identifier.addressOf(request);
        const end = () => database.endSession(session);
        // The cookie of a session that has ended names nobody.
        await (holder ? audited(database, { ...holder, means: "session", address }, action, end) : end());
      }
      clearCookie(response, origins);
      response.redirect(303, "/login");
    });
    return router;
  },
};

const Login = z.object({ token: z.string().max(500), next: z.string().max(2_000).optional() });

/** A path of ours: a link to the login must not lead to another site. */
function nextOf(value: unknown): string {
  return typeof value === "string" && /^\/(?![/\\])[\x21-\x7e]*$/.test(value) ? value : "/";
}

const cookieOptions = ({ isSecure }: Origins) =>
  ({ httpOnly: true, sameSite: "strict", secure: isSecure, path: "/" }) as const;

function setCookie(response: Response, origins: Origins, session: string): void {
  response.cookie(origins.cookieName, session, cookieOptions(origins));
}

function clearCookie(response: Response, origins: Origins): void {
  response.clearCookie(origins.cookieName, cookieOptions(origins));
}

function respondPage(response: Response, status: number, form: LoginForm): void {
  response.status(status).set("Cache-Control", "no-store").type("html").send(renderLogin(form));
}
