import { countUpTo } from "../bisect.ts";
import type { Evidence } from "../evidence.ts";
import type { PolicyNeeds } from "../policy.ts";
import { computeGrowth } from "../training-history.ts";
import type { ReplaySettings } from "./input.ts";
import type { Past } from "./past.ts";
import { createTrainingLog, type ReplayedTraining } from "./training-log.ts";

/** The buffer at any time of the past. */
export interface BufferPast {
  /** What evidence says of it. @param lastSuccess The last successful training by then. */
  read(at: number, needs: PolicyNeeds, lastSuccess: ReplayedTraining | null): Evidence["buffer"];
  /** How many more rows each recorded decision saw than are left of those that it counted. */
  missing: readonly { at: number; rows: number }[];
  /** When rows arrive next after a time; null for never. */
  findNextArrival(at: number): number | null;
}

const DAY_MS = 86_400_000;

/**
 * Follows the buffer: rows count from their arrival on. What a recorded decision saw goes before: if more or fewer rows are
 * left now, the difference is taken along until the next decision, because rows may have been deleted since.
 */
export function createBufferPast(past: Past, { isMock }: Pick<ReplaySettings, "isMock">): BufferPast {
  const {
    arrivals,
    decisions,
    trainings,
    buffer: { unit, isSinceTraining },
  } = past;
  const recorded = createTrainingLog(
    { ...past, isMock },
    trainings.map((training) => ({ ...training, checks: [] })),
  );
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
  const countFresh = (since: number, at: number): number =>
    (rows[countUpTo(times, at)] ?? 0) - (rows[countUpTo(times, since)] ?? 0);
  const sizeAt = (at: number, since: number): number =>
    isSinceTraining ? countFresh(since, at) : always + (rows[countUpTo(times, at)] ?? 0);
  const sinceOf = (lastSuccess: ReplayedTraining | null): number =>
    isSinceTraining ? (lastSuccess?.decidedAt ?? Number.NEGATIVE_INFINITY) : Number.NEGATIVE_INFINITY;
  const seen = decisions.map(({ at, bufferSize }) => {
    const since = sinceOf(recorded.findLastSuccess(at));
    return { at, since, rows: bufferSize - sizeAt(at, since) };
  });
  const seenAt = seen.map(({ at }) => at);
  /** What the decision before saw beyond what is left, if it counted from the same training on. */
  const missingAt = (at: number, since: number): number => {
    const last = seen[countUpTo(seenAt, at) - 1] ?? seen[0];
    return last?.since === since ? last.rows : 0;
  };

  return {
    missing: seen,
    findNextArrival: (at) => times[countUpTo(times, at)] ?? null,
    read(at, needs, lastSuccess) {
      const fromStart = sinceOf(lastSuccess);
      const size = Math.max(0, sizeAt(at, fromStart) + missingAt(at, fromStart));
      const since = lastSuccess?.decidedAt ?? Number.NEGATIVE_INFINITY;
      const [start, end] = [countUpTo(times, since), countUpTo(times, at)];
      const freshRows = countFresh(since, at);
      const freshMs = (rowMs[end] ?? 0) - (rowMs[start] ?? 0);
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
        counted: null,
      };
    },
  };
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
