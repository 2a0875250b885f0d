import { type AppOptions, buildApp } from "../app.ts";
import type { Config } from "../config/config.ts";
import { findModel } from "../config/find-model.ts";
import { TransientError } from "../core/errors.ts";
import { createDatabase, type Database, type DatabaseOptions } from "../postgres/database.ts";
import { boardOf } from "../outgoing/page-links.ts";
import { createLogger } from "../process/logger.ts";
import { requireRedis } from "../redis/check.ts";
import { type Client, createClient } from "../use-cases/client.ts";
import { findObstacle } from "../use-cases/obstacle.ts";
import { printNote } from "./output.ts";

const log = createLogger("silent");

/** Keeps the database open while `use` runs. */
export async function withDatabase<T>(
  options: DatabaseOptions,
  use: (database: Database) => Promise<T>,
): Promise<T> {
  const database = createDatabase(options, log);
  try {
    return await use(database);
  } finally {
    await database.close();
  }
}

/** Keeps the queues open while `use` runs, for a request about a model. */
export async function withClient(
  config: Config,
  model: string,
  use: (client: Client) => Promise<void>,
): Promise<void> {
  findModel(config.models, model);
  await withQueues(config, use);
}

/** Keeps the queues open while `use` runs. */
export async function withQueues(config: Config, use: (client: Client) => Promise<void>): Promise<void> {
  // A client would wait for a Redis that is away; at a terminal, show the reason at once.
  await requireRedis(config);
  const client = createClient(config, log);
  try {
    await use(client);
  } finally {
    await client.close();
  }
}

/** Runs workers in this process while `use` runs. */
export async function withLocalWorkers<T>(
  config: Config,
  use: () => Promise<T>,
  { trainings = "none" }: Pick<AppOptions, "trainings"> = {},
): Promise<T> {
  printNote("No worker is running (npm start), so this process starts its own.");
  const app = buildApp({ ...config, role: "worker" }, log, { isService: false, trainings });
  try {
    await app.start(AbortSignal.timeout(30_000));
    return await use();
  } catch (error) {
    if (error instanceof DOMException || (error instanceof Error && error.name === "AbortError")) {
      await withDatabase(config, (database) => database.ping());
      throw new TransientError("START", "The workers did not start within 30 s. See: npx retrigger doctor", {
        cause: error,
      });
    }
    throw error;
  } finally {
    await app.stop();
  }
}

/** Says why a request will not be taken, if that is so. */
export async function warnIfRequestWaits(config: Config, { inbox }: Client): Promise<void> {
  const obstacle = await findObstacle(inbox);
  if (obstacle === "paused")
    printNote(
      `The queue ${inbox.name} is paused, so the request waits. Press Resume: ${boardOf(config, inbox.name)}`,
    );
  if (obstacle === "no_worker")
    printNote("No worker is running, so the request waits. Start one with: npm start");
}
