import { bisect } from "../bisect.ts";
import type { Past } from "./past.ts";
import type { Firing } from "./replay.ts";

/** What a policy's trainings come to over a period. */
export interface Measures {
  trainings: number;
  perMonth: number;
  /** How long a feature had drifted without a training since, in days. */
  unansweredDays: number;
  /** From the arrival of a row to the training that it was there for, or to the end, on average, in days; null without rows. */
  meanWaitDays: number | null;
  /** Null if it is not known how long a training takes. */
  trainingHours: number | null;
}

const DAY_MS = 86_400_000;
const MONTH_MS = 30.4375 * DAY_MS;

/**
 * Measures what trainings come to.
 *
 * @param earlier When trainings were requested before the period that did not fail.
 * @param knownFrom Since when anything is known: a rate is one over the time after that.
 */
export function measure(
  past: Past,
  firings: readonly Firing[],
  { earlier, knownFrom }: { earlier: readonly number[]; knownFrom: number },
): Measures {
  // A failed training answers nothing, and a refused one is none.
  const lasting = firings.filter(({ result }) => result !== "failed" && result !== "refused");
  const requested = firings.filter(({ result }) => result !== "refused");
  const times = [...earlier, ...lasting.map(({ at }) => at)].toSorted((a, b) => a - b);
  const hours = requested.map((firing) => firing.hours);
  return {
    trainings: requested.length,
    perMonth: (requested.length * MONTH_MS) / Math.max(1, past.to - knownFrom),
    unansweredDays: measureUnanswered(past, times) / DAY_MS,
    meanWaitDays: measureWait(past, times),
    trainingHours: hours.includes(null) ? null : hours.reduce<number>((sum, own) => sum + (own ?? 0), 0),
  };
}

/**
 * How long any feature was in drift that no training had followed yet, in milliseconds. A feature is in drift from an alert to its
 * next check without one. The same for every policy, whatever its window.
 */
function measureUnanswered({ checks, from, to }: Past, trainings: readonly number[]): number {
  const drifting = new Set<string | null>();
  let [total, since, next] = [0, from, 0];
  const passTo = (at: number): void => {
    const end = Math.min(Math.max(at, since), to);
    if (drifting.size > 0) total += end - since;
    since = end;
  };
  for (const { at, feature, triggered } of checks.toSorted((a, b) => a.at - b.at)) {
    for (; next < trainings.length && (trainings[next] ?? 0) < at; next += 1) {
      passTo(trainings[next] ?? 0);
      drifting.clear();
    }
    passTo(at);
    if (triggered) drifting.add(feature);
    else drifting.delete(feature);
  }
  for (; next < trainings.length; next += 1) {
    passTo(trainings[next] ?? 0);
    drifting.clear();
  }
  passTo(to);
  return total;
}

function measureWait({ arrivals, from, to }: Past, trainings: readonly number[]): number | null {
  let [rows, waited] = [0, 0];
  for (const { at, rows: count } of arrivals) {
    if (at === null || at < from || at > to) continue;
    rows += count;
    waited += (count * ((trainings[bisect(trainings, (training) => training < at)] ?? to) - at)) / DAY_MS;
  }
  return rows === 0 ? null : waited / rows;
}
