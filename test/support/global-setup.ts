import { rmdir } from "node:fs/promises";
import type { TestProject } from "vitest/node";
import { startEmbeddedServers } from "../../src/embedded/servers.ts";
import { bundleScripts } from "./bundle.ts";
import { queryOnce } from "./database-url.ts";
import { startRedisCluster } from "./redis-cluster.ts";
import { SCRATCH } from "./scratch.ts";
import { createTemplate } from "./template.ts";

declare module "vitest" {
  export interface ProvidedContext {
    databaseUrl: string;
    redisUrl: string;
    /** The settings of Redis: a URL, or the nodes of a cluster. */
    redisSettings: Record<string, string>;
    /** A database with the source tables and ours. */
    template: string;
  }
}

/**
 * Bundles what tests start as processes. Starts the servers that TEST_DATABASE_URL and TEST_REDIS_URL do not give, and stops
 * them after the last test. With TEST_REDIS_CLUSTER=on, Redis is a cluster.
 */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const removeBundles = await bundleScripts();
  // Patient, because the tests keep the machine busy.
  const cluster =
    process.env["TEST_REDIS_CLUSTER"] === "on" ? await startRedisCluster({ nodeTimeoutMs: 15_000 }) : null;
  const { databaseUrl, redisUrl, stop } = await startEmbeddedServers({
    databaseUrl: process.env["TEST_DATABASE_URL"],
    redisUrl: cluster?.url ?? process.env["TEST_REDIS_URL"],
    isDurable: false,
    parent: SCRATCH,
    say: (line) => console.log(line),
  });
  project.provide("databaseUrl", databaseUrl);
  project.provide("redisUrl", redisUrl);
  project.provide("redisSettings", cluster?.settings ?? { REDIS_URL: redisUrl });
  const template = `template_${project.name}_${process.pid}`;
  project.provide("template", template);
  await createTemplate(databaseUrl, template);
  return async () => {
    await queryOnce(databaseUrl, `DROP DATABASE ${template} WITH (FORCE)`);
    await stop();
    await cluster?.stop();
    await removeBundles();
    // Other test runs may still use it.
    await rmdir(SCRATCH).catch(() => {});
  };
}
