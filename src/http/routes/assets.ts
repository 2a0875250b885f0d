import { Router } from "express";
import { TONES, type Tone } from "../../core/standing.ts";
import { addressOf, ASSETS, readAsset } from "../assets.ts";
import { renderIcon } from "../parts/icon.ts";
import type { Route } from "../route.ts";

const NAMES = Object.keys(ASSETS) as (keyof typeof ASSETS)[];
const KEPT = "public, max-age=31536000, immutable";
const BRIEFLY = "public, max-age=3600";
const iconPath = (tone: Tone): string => `/assets/icon-${tone}.svg`;

/** What pages load: a stylesheet, a script and the icons. They hold nothing secret, so everybody may read them. */
export const assets: Route = {
  doors: [...NAMES.map((name) => `/assets/${name}`), ...TONES.map(iconPath), "/favicon.ico"].map((path) => ({
    method: "GET",
    path,
    role: "open",
  })),
  requires: [],
  create() {
    const router = Router();
    for (const name of NAMES)
      router.get(`/assets/${name}`, (request, response) => {
        const isCurrent = addressOf(name) === request.originalUrl;
        response
          .type(ASSETS[name])
          .set("Cache-Control", isCurrent ? KEPT : BRIEFLY)
          .send(readAsset(name));
      });
    for (const tone of TONES)
      router.get(iconPath(tone), (_, response) => {
        response.type("image/svg+xml").set("Cache-Control", BRIEFLY).send(renderIcon(tone));
      });
    router.get("/favicon.ico", (_, response) => response.redirect(iconPath("calm")));
    return router;
  },
};
