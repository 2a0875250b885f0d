#!/usr/bin/env node
// A checkout runs the TypeScript source, without a build step and without a cache in /tmp. The Docker image has no source and
// runs the build.
import { existsSync } from "node:fs";

if (existsSync(new URL("../src/cli.ts", import.meta.url))) {
  process.env["TSX_DISABLE_CACHE"] ??= "1";
  const { register } = await import("tsx/esm/api");
  register();
  await import("../src/cli.ts");
} else {
  await import("../dist/src/cli.js");
}
