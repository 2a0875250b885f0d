#!/usr/bin/env node
// The command in a checkout: the TypeScript source as it is, without a build step and without a cache in /tmp.
process.env["TSX_DISABLE_CACHE"] ??= "1";
const { register } = await import("tsx/esm/api");

register();
await import("../src/cli.ts");
