import type { Fault } from "../fields.ts";
import { replayInSteps } from "./backtest.ts";
import type { BacktestInput } from "./input.ts";
import type { Measures } from "./measure.ts";
import type { Firing } from "./replay.ts";
import type { Unknown } from "./unknowns.ts";
import { listThresholds, scale, type Threshold, withThresholds } from "./thresholds.ts";

/** A policy that was tried. */
export interface Trial {
  /** The thresholds that differ from the policy in force; empty for that policy itself. */
  changes: readonly Threshold[];
  measures: Measures;
  /** How many of its trainings are on record and brought nothing. */
  broughtNothing: number;
  /** Whether no other trial has fewer trainings without more time of unanswered drift, or the other way round. */
  isOnFront: boolean;
}

export interface Tuning {
  from: number;
  to: number;
  /** The thresholds of the grid: those that matter most. */
  varied: readonly Threshold[];
  /** By trainings a month. */
  trials: readonly Trial[];
  /** What the replays cannot know. */
  unknowns: readonly Unknown[];
}

export interface TuneInput extends Omit<BacktestInput, "candidate"> {
  /** The decisions whose trainings brought nothing. */
  broughtNothing: ReadonlySet<number>;
}

const FACTORS = [0.5, 0.75, 1, 1.5, 2];
/** More would make a grid of thousands. */
const MOST_VARIED = 3;

/**
 * Tries a grid over the thresholds that matter: each is varied alone first, and those that change the result most make the
 * grid. Yields the share that is done. Pure.
 */
export function* tuneInSteps(input: TuneInput): Generator<number, Tuning> {
  const { past, inForce } = input;
  const thresholds = listThresholds(inForce);
  const valuesInForce = new Map(thresholds.map(({ path, value }) => [path, value]));
  const known = new Map<string, Trial>();
  let [done, expected] = [0, 1];
  let unknowns: readonly Unknown[] | null = null;

  function* attempt(changes: readonly Threshold[]): Generator<number, Trial | null> {
    const real = changes.filter(({ path, value }) => valuesInForce.get(path) !== value);
    const values = real.map(({ path, value }) => [path, value] as const);
    const key = JSON.stringify(values);
    const earlier = known.get(key);
    done += 1;
    if (earlier) return earlier;
    const faults: Fault[] = [];
    const policy = withThresholds(inForce, new Map(values), faults);
    if (faults.length > 0) return null;
    const steps = replayInSteps({ ...input, inForce: policy, candidate: null });
    for (let step = steps.next(); ; step = steps.next()) {
      if (step.done) {
        const { firings, measures } = step.value.inForce;
        unknowns ??= step.value.unknowns;
        const trial = {
          changes: real,
          measures,
          broughtNothing: countNothing(firings, input),
          isOnFront: false,
        };
        known.set(key, trial);
        return trial;
      }
      yield Math.min(1, (done - 1 + step.value) / expected);
    }
  }

  const base = (yield* attempt([])) as Trial;
  expected = thresholds.length * (FACTORS.length - 1) * 2;
  const effects: { threshold: Threshold; effect: number }[] = [];
  for (const threshold of thresholds) {
    let effect = 0;
    for (const factor of FACTORS) {
      const trial = yield* attempt([{ ...threshold, value: scale(threshold, factor) }]);
      if (trial) effect = Math.max(effect, distance(trial.measures, base.measures));
    }
    if (effect > 0) effects.push({ threshold, effect });
  }
  const varied = effects
    .toSorted((a, b) => b.effect - a.effect)
    .slice(0, MOST_VARIED)
    .map(({ threshold }) => threshold);
  const grid = combine(varied);
  expected = done + grid.length;
  for (const changes of grid) yield* attempt(changes);
  const trials = [...known.values()].toSorted(
    (a, b) =>
      a.measures.perMonth - b.measures.perMonth || a.measures.unansweredDays - b.measures.unansweredDays,
  );
  return { from: past.from, to: past.to, varied, trials: markFront(trials), unknowns: unknowns ?? [] };
}

function countNothing(firings: readonly Firing[], { broughtNothing }: TuneInput): number {
  return firings.filter(({ recordedId }) => recordedId !== null && broughtNothing.has(recordedId)).length;
}

function distance(a: Measures, b: Measures): number {
  return Math.abs(a.perMonth - b.perMonth) + Math.abs(a.unansweredDays - b.unansweredDays);
}

/** Every combination of some thresholds at every factor. */
function combine(varied: readonly Threshold[]): Threshold[][] {
  return varied.reduce<Threshold[][]>(
    (all, threshold) =>
      all.flatMap((changes) =>
        FACTORS.map((factor) => [...changes, { ...threshold, value: scale(threshold, factor) }]),
      ),
    [[]],
  );
}

/** @param trials By trainings a month, then by unanswered drift. */
function markFront(trials: readonly Trial[]): Trial[] {
  let least = Number.POSITIVE_INFINITY;
  return trials.map((trial) => {
    const isOnFront = trial.measures.unansweredDays < least;
    least = Math.min(least, trial.measures.unansweredDays);
    return { ...trial, isOnFront };
  });
}
