import type pg from "pg";
import type { CounterProblem } from "../../core/counter.ts";
import { messageOf } from "../../core/errors.ts";
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

/** A connection may be lost without a sign. */
const CONNECT_LIMIT_MS = 15_000;
const LIMIT_MS = 15 * 60_000;

/**
 * Whether a counter may have missed a change. Once what is wrong is undone, nothing would show that any more, so the counter is
 * marked: it is counted once more then.
 */
function isBroken(problem: CounterProblem | null): boolean {
  return problem !== null && problem !== "filling" && problem !== "lost";
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

  async function maintain({
    id,
    problem,
    isOpen,
  }: Pick<ReadCounter, "id" | "problem" | "isOpen">): Promise<void> {
    const client = createClient(databaseUrl, {
      schema: databaseSchema,
      application_name: "retrigger counters",
      connectionTimeoutMillis: CONNECT_LIMIT_MS,
      query_timeout: LIMIT_MS,
    });
    busy = client;
    try {
      await client.connect();
      const counter = await findCounter(client, id);
      if (isBroken(problem)) await markLost(client, counter);
      else if (problem === "lost" || isOpen) await recount(client, counter);
      else await foldCounter(client, counter);
    } catch (error) {
      log.warn(
        { err: error, counter: id },
        `a counter could not be folded or counted again: ${messageOf(error)}`,
      );
      pausedUntil.set(id, performance.now() + PAUSE_MS);
    } finally {
      await client.end();
      busy = null;
      running = null;
    }
  }

  return {
    see(counter) {
      if (counter === null || running !== null) return;
      const { id, problem, entries, isOpen } = counter;
      const needsRecount = isBroken(problem) || problem === "lost" || (problem === null && isOpen);
      const needsFold = problem === null && entries > MOST_ENTRIES;
      if ((!needsRecount && !needsFold) || performance.now() < (pausedUntil.get(id) ?? 0)) return;
      if (needsRecount) pausedUntil.set(id, performance.now() + PAUSE_MS);
      running = maintain(counter);
    },
    async sweep(counters) {
      for (const { id, problem, entries } of counters) {
        if (problem === "dropped" || entries <= MOST_ENTRIES) continue;
        await running;
        // A decision may have begun another one meanwhile; the next pass comes in an hour. A counter that is not sound is folded, too: its
        // triggers go on writing.
        running ??= maintain({ id, problem: null, isOpen: false });
      }
      await running;
    },
    async close() {
      // An unfinished count is given up, and not awaited: a client that is ended while it connects settles nothing.
      await busy?.end();
    },
  };
}
