import { Router } from "express";
import { checkReadiness } from "../readiness.ts";
import type { Route } from "../route.ts";

/** `/healthz`: the process runs. `/readyz`: both servers work. */
export const health: Route = {
  doors: [
    { method: "GET", path: "/healthz", role: "open", anyHost: true },
    { method: "GET", path: "/readyz", role: "open", anyHost: true },
  ],
  requires: [],
  create({ database, redisWatch }) {
    const router = Router();
    router.get("/healthz", (_, response) => void response.json({ status: "ok" }));
    router.get("/readyz", async (_, response) => {
      const readiness = await checkReadiness(database, redisWatch);
      response.status(readiness.isReady ? 200 : 503).json(readiness);
    });
    return router;
  },
};
