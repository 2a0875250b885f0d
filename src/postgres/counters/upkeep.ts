import type pg from "pg";
import { messageOf } from "../../core/errors.ts";
import { isSettledWithin } from "../../process/lifecycle.ts";
import type { Logger } from "../../process/logger.ts";
import type { ReadCounter } from "../evidence-result.ts";
import { createClient } from "../pool.ts";
import { findCounter, type InstalledCounter } from "./inspect.ts";
import { foldCounter, markLost, recount } from "./recount.ts";

/** Adding up so many changes takes a millisecond or two. */
const MOST_ENTRIES = 1_000;
/** Counting the rows once more costs what a counter saves, so it is not done each time that rows are removed. */
const PAUSE_MS = 10 * 60_000;

export interface UpkeepOptions {
  databaseUrl: string;
  databaseSchema?: string | undefined;
}

/** A lost connection may go unnoticed. */
const CONNECT_LIMIT_MS = 15_000;
const LIMIT_MS = 15 * 60_000;
const END_LIMIT_MS = 5_000;

const TASKS = { markLost, recount, fold: foldCounter };
type Task = keyof typeof TASKS;

/** What a counter needs; null for nothing. */
function findTask({ problem, entries, isOpen }: ReadCounter): Task | null {
  switch (problem) {
    case "filling":
      return null;
    case "lost":
      return "recount";
    case null:
      if (isOpen) return "recount";
      return entries > MOST_ENTRIES ? "fold" : null;
    case "partitions":
    case "columns":
    case "triggers":
    case "table":
      // It may have missed a change. Once the cause is undone, nothing else would show that.
      return "markLost";
    default:
      return problem satisfies never;
  }
}

/** Keeps counters short and exact, beside the decisions that read them. */
export interface Upkeep {
  /** Does what a counter needs, if anything. Returns at once. */
  see(counter: ReadCounter | null): void;
  /** Folds those that consist of many changes, because no decision has read them for long. */
  sweep(counters: readonly Pick<InstalledCounter, "id" | "problem" | "entries">[]): Promise<void>;
  close(): Promise<void>;
}

/**
 * A counter that consists of many changes is folded. One that lost a change, or whose batches have lost their first or last row,
 * is counted once more. It takes a connection of its own, one at a time in this process.
 */
export function createUpkeep({ databaseUrl, databaseSchema }: UpkeepOptions, log: Logger): Upkeep {
  const pausedUntil = new Map<number, number>();
  let busy: pg.Client | null = null;
  let running: Promise<void> | null = null;

  async function maintain(id: number, task: Task): Promise<void> {
    const client = createClient(databaseUrl, {
      schema: databaseSchema,
      application_name: "retrigger counters",
      connectionTimeoutMillis: CONNECT_LIMIT_MS,
      query_timeout: LIMIT_MS,
    });
    busy = client;
    try {
      await client.connect();
      await TASKS[task](client, await findCounter(client, id));
    } catch (error) {
      log.warn(
        { err: error, counter: id },
        `a counter could not be folded or counted again: ${messageOf(error)}`,
      );
      pausedUntil.set(id, performance.now() + PAUSE_MS);
    } finally {
      await isSettledWithin(client.end(), END_LIMIT_MS);
      busy = null;
      running = null;
    }
  }

  return {
    see(counter) {
      if (counter === null || running !== null) return;
      const { id } = counter;
      const task = findTask(counter);
      if (task === null || performance.now() < (pausedUntil.get(id) ?? 0)) return;
      if (task !== "fold") pausedUntil.set(id, performance.now() + PAUSE_MS);
      running = maintain(id, task);
    },
    async sweep(counters) {
      for (const { id, problem, entries } of counters) {
        if (problem === "dropped" || entries <= MOST_ENTRIES) continue;
        await running;
        // A decision may have begun another one meanwhile; the next pass comes in an hour. A counter that is not sound is folded, too: its
        // triggers go on writing.
        running ??= maintain(id, "fold");
      }
      await running;
    },
    async close() {
      // An unfinished count is given up, and not awaited: a client that is ended while it connects settles nothing.
      await busy?.end();
    },
  };
}
