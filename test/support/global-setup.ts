import type { TestProject } from "vitest/node";
import { startEmbeddedServers } from "../../src/embedded/servers.ts";
import { bundleScripts } from "./bundle.ts";

declare module "vitest" {
  export interface ProvidedContext {
    databaseUrl: string;
    redisUrl: string;
  }
}

/** Bundles what tests start as processes. Starts the servers that TEST_DATABASE_URL and TEST_REDIS_URL do not give, and stops them after the last test. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const removeBundles = await bundleScripts();
  const { databaseUrl, redisUrl, stop } = await startEmbeddedServers({
    databaseUrl: process.env["TEST_DATABASE_URL"],
    redisUrl: process.env["TEST_REDIS_URL"],
    isDurable: false,
    say: (line) => console.log(line),
  });
  project.provide("databaseUrl", databaseUrl);
  project.provide("redisUrl", redisUrl);
  return async () => {
    await stop();
    await removeBundles();
  };
}
