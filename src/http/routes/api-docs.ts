import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { Router } from "express";
import type { Route } from "../route.ts";

const PATH = "/api/v1/docs";

/** Swagger UI's own files, each with its media type. */
const FILES = {
  "swagger-ui.css": "text/css",
  "swagger-ui-bundle.js": "text/javascript",
} as const;

const PAGE = `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>API · Retrigger</title>
<link rel="stylesheet" href="${PATH}/swagger-ui.css"></head>
<body><div id="api"></div><script src="${PATH}/swagger-ui-bundle.js"></script><script src="${PATH}/start.js"></script></body></html>
`;

const START = `SwaggerUIBundle({ url: "/api/v1/openapi.json", dom_id: "#api", deepLinking: true, validatorUrl: null });\n`;

/** A page on which to read the API and try it: Swagger UI, served from here. */
export const apiDocs: Route = {
  doors: [PATH, ...[...Object.keys(FILES), "start.js"].map((name) => `${PATH}/${name}`)].map((path) => ({
    method: "GET",
    path,
    role: "viewer",
  })),
  requires: [],
  create() {
    const directory = dirname(createRequire(import.meta.url).resolve("swagger-ui-dist/package.json"));
    const router = Router();
    router.get(PATH, (_, response) => void response.type("html").send(PAGE));
    router.get(`${PATH}/start.js`, (_, response) => void response.type("text/javascript").send(START));
    for (const [name, type] of Object.entries(FILES)) {
      // Read on the first visit: few processes need it.
      let content: Buffer | undefined;
      router.get(`${PATH}/${name}`, (_, response) => {
        content ??= readFileSync(join(directory, name));
        response.type(type).set("Cache-Control", "private, max-age=86400").send(content);
      });
    }
    return router;
  },
};
