#!/usr/bin/env node
// The command in a checkout: the TypeScript source as it is, without a build step.
import { register } from "tsx/esm/api";

register();
await import("../src/cli.ts");
