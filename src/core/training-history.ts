import type { Evidence } from "./evidence.ts";

/** The rows that arrived since the last successful training. `timed`: how many of all rows have a time of arrival. */
export interface Fresh {
  rows: number;
  timed: number;
}

/** The rows since the last successful training, for a buffer that counts more than these. */
export function computeGrowth(
  size: number,
  fresh: Fresh | null,
  lastSuccess: { bufferSize: number | null } | null,
): number {
  if (lastSuccess === null) return size;
  if (fresh !== null && fresh.timed > 0) return fresh.rows;
  const before = lastSuccess.bufferSize ?? 0;
  // A smaller buffer was emptied in the meantime.
  return size < before ? size : size - before;
}

/** A training as far as its failure counts. */
export interface CountedTraining {
  decisionId: number;
  state: string;
  endedAt: string | null;
}

/** The newest training if it failed, with the number of failures in a row. @param newest Newest first. */
export function findLastFailed(newest: readonly CountedTraining[]): Evidence["trainings"]["lastFailed"] {
  const end = newest.findIndex(({ state }) => state !== "failed" && state !== "cancelled");
  const failures = end === -1 ? newest.length : end;
  const last = newest[0];
  if (failures === 0 || !last || last.endedAt === null) return null;
  return { decisionId: last.decisionId, endedAt: last.endedAt, failures };
}
