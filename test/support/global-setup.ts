import type { TestProject } from "vitest/node";
import { startEmbeddedServers } from "../../src/embedded/servers.ts";
import { bundleScripts } from "./bundle.ts";
import { queryOnce } from "./database-url.ts";
import { createTemplate } from "./template.ts";

declare module "vitest" {
  export interface ProvidedContext {
    databaseUrl: string;
    redisUrl: string;
    /** A database with the source tables and ours. */
    template: string;
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
  const template = `template_${project.name}_${process.pid}`;
  project.provide("template", template);
  await createTemplate(databaseUrl, template);
  return async () => {
    await queryOnce(databaseUrl, `DROP DATABASE ${template} WITH (FORCE)`);
    await stop();
    await removeBundles();
  };
}
