import { parentPort } from "node:worker_threads";
import type { RecordedRow } from "../../postgres/verification.ts";
import { checkRow } from "./check-row.ts";
import type { Reply } from "./row-checker.ts";

// A thread of the verification: it checks the rows of each page that it gets.
parentPort?.on("message", ({ page, rows }: { page: number; rows: RecordedRow[] }) => {
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a port of a thread has no origin
  parentPort?.postMessage({ page, checks: rows.map((row) => checkRow(row)) } satisfies Reply);
});
