import type { Evidence } from "../evidence.ts";
import type { PolicyNeeds } from "../policy.ts";
import { computeGrowth } from "../training-history.ts";
import type { Past } from "./past.ts";
import type { ReplayedTraining } from "./training-log.ts";

/** The buffer at any time of the past. */
export interface BufferPast {
  /** What evidence says of it. @param lastSuccess The last successful training by then. */
  read(at: number, needs: PolicyNeeds, lastSuccess: ReplayedTraining | null): Evidence["buffer"];
  /** How many rows had arrived by then, or are left of those. */
  countUntil(at: number): number;
  /** When rows arrive next after a time; null for never. */
  findNextArrival(at: number): number | null;
}

const DAY_MS = 86_400_000;

/**
 * Follows the buffer: rows count from their arrival on. What a recorded decision saw goes before: if more or fewer rows are
 * left now, the difference is taken along until the next decision, because rows may have been deleted since.
 */
export function createBufferPast({
  arrivals,
  buffer: { unit, isSinceTraining },
  decisions,
}: Pick<Past, "arrivals" | "buffer" | "decisions">): BufferPast {
  const timed = arrivals.filter(({ at }) => at !== null);
  const always = sum(arrivals.filter(({ at }) => at === null).map(({ rows }) => rows));
  const times = timed.map(({ at }) => at ?? 0);
  const origin = times[0] ?? 0;
  // Rows so far, and their times since the first arrival added up, so that waiting is a subtraction.
  const rows: number[] = [0];
  const rowMs: number[] = [0];
  for (const [index, arrival] of timed.entries()) {
    rows.push((rows[index] ?? 0) + arrival.rows);
    rowMs.push((rowMs[index] ?? 0) + arrival.rows * ((arrival.at ?? 0) - origin));
  }
  const countUntil = (at: number): number => always + (rows[countTo(times, at)] ?? 0);
  const seen = isSinceTraining
    ? []
    : decisions.map(({ at, bufferSize }) => ({ at, missing: bufferSize - countUntil(at) }));
  const seenAt = seen.map(({ at }) => at);
  const missingAt = (at: number): number => seen[countTo(seenAt, at) - 1]?.missing ?? seen[0]?.missing ?? 0;

  return {
    countUntil,
    findNextArrival: (at) => times[countTo(times, at)] ?? null,
    read(at, needs, lastSuccess) {
      const since = lastSuccess?.decidedAt ?? Number.NEGATIVE_INFINITY;
      const [start, end] = [countTo(times, since), countTo(times, at)];
      const freshRows = (rows[end] ?? 0) - (rows[start] ?? 0);
      const freshMs = (rowMs[end] ?? 0) - (rowMs[start] ?? 0);
      const size = isSinceTraining ? freshRows : Math.max(0, countUntil(at) + missingAt(at));
      const fresh = times.length === 0 ? null : { rows: freshRows, timed: rows[end] ?? 0 };
      return {
        size,
        batchCount: 0,
        batches: [],
        unit,
        isSinceTraining,
        grown: needs.growth ? (isSinceTraining ? size : computeGrowth(size, fresh, lastSuccess)) : null,
        waiting:
          needs.waiting && fresh !== null
            ? { rows: freshRows, rowDays: (freshRows * (at - origin) - freshMs) / DAY_MS }
            : null,
        smallestSince: null,
        earlier: null,
      };
    },
  };
}

/** How many of some ascending times are not later than an instant. */
function countTo(times: readonly number[], at: number): number {
  return bisect(times, (time) => time <= at);
}

/** How many of some ascending times are earlier than an instant. */
export function countBefore(times: readonly number[], at: number): number {
  return bisect(times, (time) => time < at);
}

function bisect(times: readonly number[], isEarly: (time: number) => boolean): number {
  let [low, high] = [0, times.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (isEarly(times[middle] ?? 0)) low = middle + 1;
    else high = middle;
  }
  return low;
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
