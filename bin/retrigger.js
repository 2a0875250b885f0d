#!/usr/bin/env node
// In a checkout: the TypeScript source as it is, without a build step and without a cache in /tmp. In the Docker image, which
// holds no source: what was built.
import { existsSync } from "node:fs";

if (existsSync(new URL("../src/cli.ts", import.meta.url))) {
  process.env["TSX_DISABLE_CACHE"] ??= "1";
  const { register } = await import("tsx/esm/api");
  register();
  await import("../src/cli.ts");
} else {
  await import("../dist/src/cli.js");
}
