import { setImmediate as yieldToOthers } from "node:timers/promises";
import { Worker } from "node:worker_threads";
import { TransientError } from "../../core/errors.ts";
import type { RecordedRow } from "../../postgres/verification.ts";
import { checkRow, type RowCheck } from "./check-row.ts";

/** Checks rows by themselves, in order. */
export interface RowChecker {
  check(rows: readonly RecordedRow[]): Promise<RowCheck[]>;
  /** How many pages of rows it works on at once. */
  readonly threads: number;
  close(): Promise<void>;
}

/** So many rows are checked before others get their turn. */
const ROWS_AT_ONCE = 8;

/** Checks rows in this thread, a few at a time. */
export const ownThread: RowChecker = {
  threads: 1,
  async check(rows) {
    const checks: RowCheck[] = [];
    for (const [index, row] of rows.entries()) {
      if (index > 0 && index % ROWS_AT_ONCE === 0) await yieldToOthers();
      checks.push(checkRow(row));
    }
    return checks;
  },
  async close() {},
};

/** What a thread returns for a page of rows. */
export interface Reply {
  page: number;
  checks: RowCheck[];
}

/** Checks rows in threads of their own. */
export function createRowChecker(threads: number): RowChecker {
  const waiting = new Map<number, { resolve(checks: RowCheck[]): void; reject(error: unknown): void }>();
  const workers = Array.from({ length: threads }, startWorker);
  let pages = 0;
  /** Why a thread ended. Its pages would wait for ever, so no more are taken. */
  let failure: { error: unknown } | null = null;

  function startWorker(): Worker {
    const worker = new Worker(...bootstrap());
    worker.on("message", ({ page, checks }: Reply) => {
      waiting.get(page)?.resolve(checks);
      waiting.delete(page);
    });
    worker.on("error", fail);
    worker.on("exit", () =>
      fail(new TransientError("THREAD", "A thread of the verification ended. Try again")),
    );
    return worker;
  }

  function fail(error: unknown): void {
    failure ??= { error };
    for (const { reject } of waiting.values()) reject(failure.error);
    waiting.clear();
  }

  return {
    threads,
    check(rows) {
      pages += 1;
      const page = pages;
      return new Promise((resolve, reject) => {
        if (failure) return reject(failure.error);
        waiting.set(page, { resolve, reject });
        workers[page % workers.length]?.postMessage({ page, rows });
      });
    },
    async close() {
      await Promise.all(workers.map((worker) => worker.terminate()));
    },
  };
}

/** Where the code of a thread is; a checkout runs the TypeScript source, which needs a loader of its own in each thread. */
function bootstrap(): ConstructorParameters<typeof Worker> {
  const isSource = import.meta.url.endsWith(".ts");
  const url = new URL(isSource ? "./thread.ts" : "./thread.js", import.meta.url);
  if (!isSource) return [url];
  const code = `import("tsx/esm/api").then(({ register }) => { register(); return import(${JSON.stringify(url.href)}); });`;
  return [code, { eval: true }];
}
