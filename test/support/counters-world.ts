import pg from "pg";
import { Policy } from "../../src/core/policy.ts";
import type { Evidence } from "../../src/core/evidence.ts";
import type { InstalledCounter } from "../../src/postgres/counters/inspect.ts";
import { createDatabase, type Database } from "../../src/postgres/database.ts";
import { createLogger } from "../../src/process/logger.ts";
import type { Sources } from "../../src/settings/sources.ts";
import { GUIDE_SOURCES } from "./sources.ts";
import { createWorld, type World } from "./world.ts";

/** A world with what reads and installs counters. */
export interface CountersWorld {
  world: World;
  database: Database;
  /** Another connection, which may be inside a transaction. */
  connect(): Promise<pg.Client>;
  /** Installs the counter of a buffer table. */
  install(table?: string, changes?: Partial<TableBuffer>): Promise<InstalledCounter>;
  /** The buffer as gather reads it. */
  gather(table?: string, changes?: Partial<TableBuffer>, when?: unknown): Promise<Evidence["buffer"]>;
  /** The same, with the rows counted one by one. */
  countRows(table?: string, changes?: Partial<TableBuffer>): Promise<Evidence["buffer"]>;
  close(): Promise<void>;
}

type TableBuffer = Extract<Sources["buffer"], { kind: "table" }>;

export async function createCountersWorld(): Promise<CountersWorld> {
  const world = await createWorld();
  const database = createDatabase(world.config, createLogger("silent"));
  const clients: pg.Client[] = [];

  const configOf = (table: string, changes: Partial<TableBuffer>, when: unknown = { driftAlerts: 1 }) => ({
    policy: Policy.parse({ when }),
    source: { ...GUIDE_SOURCES, buffer: { ...GUIDE_SOURCES.buffer, table, ...changes } } as Sources,
    trainer: { name: "github" },
    expectDriftRunEveryMs: null,
  });
  const gather = async (
    table = "ratings_buffer",
    changes: Partial<TableBuffer> = {},
    when?: unknown,
  ): Promise<Evidence["buffer"]> =>
    (await database.fetchEvidence("films", configOf(table, changes, when))).buffer;

  return {
    world,
    database,
    async connect() {
      const client = new pg.Client(world.config.databaseUrl);
      client.on("error", () => {});
      await client.connect();
      clients.push(client);
      return client;
    },
    async install(table = "ratings_buffer", changes = {}) {
      const found = await database.findCountable("films", configOf(table, changes));
      if (typeof found === "string") throw new Error(`${table} cannot have a counter: ${found}`);
      return database.installCounter(found, () => {});
    },
    gather,
    // Conditions are nothing that a counter keeps, and this one holds for every row.
    countRows: (table, changes = {}) =>
      gather(table, { ...changes }, { any: [{ driftAlerts: 1 }, { bufferGrowth: 1 }] }),
    async close() {
      for (const client of clients) await client.end();
      await database.close();
      await world.close();
    },
  };
}
