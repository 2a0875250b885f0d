import type { Queue } from "bullmq";
import type { Router } from "express";
import type { RedisConnection } from "../redis/target.ts";
import type { Registry } from "prom-client";
import type { Config } from "../config/config.ts";
import type { LiveConfig } from "../config/live-config.ts";
import type { Database } from "../postgres/database.ts";
import type { Logger } from "../process/logger.ts";
import type { Redact } from "../process/redact.ts";
import type { RedisWatch } from "../redis/watch.ts";
import type { Door } from "./access/doors.ts";
import type { Identifier } from "./access/identity.ts";
import type { Origins } from "./access/origins.ts";

/** Dependencies of the routes. */
export interface RouteDependencies {
  /** What a reload of the settings does not change; the models are in `live`. */
  config: Omit<Config, "models" | "secrets" | "notes">;
  /** What no response may show, by a description of each. */
  secrets: Config["secrets"];
  live: LiveConfig;
  database: Database;
  redisWatch: RedisWatch;
  /** Must fail fast, too. */
  redis: RedisConnection;
  /** Must fail fast: pages respond at once even while Redis is away. */
  queues: readonly Queue[];
  /** The metrics of this process. */
  registry: Registry;
  /** Removes secrets, also those of settings that a reload brought. */
  redact: Redact;
  log: Logger;
  identifier: Identifier;
  origins: Origins;
}

/** A route, or several that belong together. To add one, add a file and a line in `routes.ts`. */
export interface Route {
  /** What it answers, and for whom: nothing else reaches it. */
  doors: readonly Door[];
  /** Responds 503 at once while one of these is away. "redis writes": also while Redis refuses writes. */
  requires: readonly ("postgres" | "redis" | "redis writes")[];
  create(dependencies: RouteDependencies): Router;
}
