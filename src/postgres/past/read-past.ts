import type { Arrival, Past, PastCheck } from "../../core/backtest/past.ts";
import { toMs } from "../../core/duration.ts";
import { PermanentError } from "../../core/errors.ts";
import { formatCount } from "../../core/format.ts";
import { needsOf, type Policy } from "../../core/policy.ts";
import { createSourceReader, type SourceReaderOptions, type SourceRows } from "../source-reader.ts";
import type { ModelSources, SourceTables } from "../source-tables.ts";
import { MOST_DECISIONS, type OwnPast, readOwnPast } from "./own-past.ts";
import { MOST_ARRIVALS, MOST_CHECKS, selectArrivals, selectPastChecks } from "./source-past.ts";

/** Counting ten million ratings by their time of arrival takes some seconds. */
const LIMIT_MS = 115_000;
const DAY_MS = 86_400_000;

/** To what the times of arrival are rounded, if there are too many. */
const STEPS_MS = [1, 60_000, 3_600_000];

/** Reads the past of models, for replaying policies over it. */
export function createPastStore({ pool, timeZone, ...sources }: SourceReaderOptions & { timeZone: string }) {
  const readSource = createSourceReader({ pool, ...sources }, LIMIT_MS);

  async function readArrivals(
    model: string,
    config: ModelSources,
  ): Promise<{ rows: SourceRows; stepMs: number }> {
    const isReported = config.source.buffer.kind === "reported";
    for (const stepMs of STEPS_MS) {
      const rows = await readSource({ model, config, part: "buffer" }, ({ buffer }) =>
        selectArrivals(buffer as SourceTables["buffer"], { timeZone, isReported }, stepMs),
      );
      if (rows.length <= MOST_ARRIVALS) return { rows, stepMs };
    }
    throw tooMuch(`${formatCount(MOST_ARRIVALS)} hours or batches of arrival`);
  }

  return {
    /**
     * Reads a model's past from some milliseconds ago until now, and what came before as far as the policies reach back.
     *
     * @throws PermanentError TOO_MUCH_HISTORY, SourceError if the source is wrong.
     */
    async readPast(
      model: string,
      config: ModelSources,
      { sinceMs, policies }: { sinceMs: number; policies: readonly Policy[] },
    ): Promise<Past> {
      const needs = policies.map(needsOf);
      const lengths = needs.flatMap(({ within, reach, requestedWithin, requestedByAllWithin }) =>
        [within, reach, requestedWithin ?? "0s", requestedByAllWithin ?? "0s"].map(toMs),
      );
      const reachMs = Math.max(...lengths) + 2 * DAY_MS;
      const { source, trainer } = config;
      // Whatever the clock of a source's own database says, ours is near enough for a start.
      const start = Date.now() - sinceMs - reachMs;
      const checks = (await readSource({ model, config, part: "checks" }, (tables) =>
        selectPastChecks(tables.checks as SourceTables["checks"], {
          from: start,
          timeZone,
          isReported: source.checks.kind === "reported",
        }),
      )) as unknown as PastCheck[];
      if (checks.length > MOST_CHECKS) throw tooMuch(`${formatCount(MOST_CHECKS)} checks`);
      const { rows, stepMs } = await readArrivals(model, config);
      const needsBatches = rows.some(({ at }) => at === null);
      const own = await readOwnPast(pool, { model, trainer: trainer.name, start, needsBatches });
      if (own.decisions.length > MOST_DECISIONS) throw tooMuch(`${formatCount(MOST_DECISIONS)} decisions`);
      const { batchesSeen: _seen, ...past } = own;
      return {
        ...past,
        from: own.to - sinceMs,
        checks,
        arrivals: toArrivals(rows, own),
        buffer: { unit: source.buffer.unit, isSinceTraining: source.buffer.since !== null },
        arrivalStepMs: stepMs,
      };
    },
  };
}

function tooMuch(what: string): PermanentError {
  return new PermanentError(
    "TOO_MUCH_HISTORY",
    `There are more than ${what} in this time: choose a shorter --since`,
  );
}

/** A batch without times of arrival came when a decision first saw it, else with its newest row. */
function toArrivals(rows: SourceRows, { batchesSeen }: Pick<OwnPast, "batchesSeen">): Arrival[] {
  const listed = rows as { at: number | null; batch: string | null; newest: number | null; rows: number }[];
  const arrivals = listed.map(({ at, batch, newest, rows: count }) => {
    const seenAt = batch === null ? undefined : batchesSeen[batch];
    return { at: at ?? seenAt ?? newest, rows: count };
  });
  return arrivals.toSorted((a, b) => (a.at ?? 0) - (b.at ?? 0));
}
