import type { WeighedCheck } from "../../../src/core/evidence.ts";

/** The criteria that measure drift, a second time. */

type Settings = Readonly<Record<string, unknown>>;

/** Checks on enough samples, newest first, and which of them count. */
export interface Drift {
  all: readonly WeighedCheck[];
  counts(check: WeighedCheck): boolean;
  now: number;
  /** Drift runs before this time were not all read; null if all were. */
  runsFrom: string | null;
}

const UNITS: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3_600, d: 86_400, w: 604_800 };

/** A duration such as "7d" in milliseconds. */
export function ms(duration: unknown): number {
  const text = String(duration);
  return Math.round(Number.parseFloat(text) * (UNITS[text.at(-1) ?? ""] ?? Number.NaN) * 1000);
}

export function ageMs(at: string, now: number): number {
  return now - Date.parse(at);
}

export function sum(figures: readonly number[]): number {
  let total = 0;
  for (const figure of figures) total += figure;
  return total;
}

/** Whether a criterion that measures drift holds. */
export function judgeDrift(key: string, settings: Settings, known: Drift): boolean {
  const countsAll =
    ["driftAlerts", "features", "consecutiveRuns"].includes(key) || settings["worst"] !== undefined;
  const drift = countsAll ? known : { ...known, all: known.all.filter(({ hasGap }) => !hasGap) };
  const atLeast = Number(settings["atLeast"]);
  const recent = drift.all.filter((check) => isRecent(check, settings, drift) && drift.counts(check));
  const alerts = recent.filter(({ triggered }) => triggered);
  switch (key) {
    case "driftAlerts":
      return alerts.length >= atLeast;
    case "features":
      return weighFeatures(alerts, settings) >= atLeast;
    case "severity":
      return isSevere(recent.flatMap(ratioOf), settings);
    case "cusum":
      return groupByFeature(recent).some(
        (checks) => accumulate(checks, Number(settings["slack"])) >= atLeast,
      );
    case "consecutiveRuns":
      return countDriftedRuns(settings, drift) >= atLeast;
    case "quantile":
      return hasUnusualScore(settings, drift);
    default:
      throw new Error(`no such criterion: ${key}`);
  }
}

function isRecent({ at }: WeighedCheck, settings: Settings, { now }: Drift): boolean {
  return ageMs(at, now) < ms(settings["within"]);
}

function weighFeatures(alerts: readonly WeighedCheck[], settings: Settings): number {
  const weights = settings["weights"] as Record<string, number> | undefined;
  const named = settings["of"] as string[] | undefined;
  const drifting = [...new Set(alerts.flatMap(({ feature }) => feature ?? []))];
  if (weights) return sum(drifting.map((name) => weights[name] ?? 0));
  return drifting.filter((name) => named === undefined || named.includes(name)).length;
}

/** score / threshold, where both are known and the threshold is above 0. */
function ratioOf({ score, threshold }: WeighedCheck): number[] {
  return score !== null && threshold !== null && threshold > 0 ? [score / threshold] : [];
}

function isSevere(ratios: readonly number[], { worst, mean }: Settings): boolean {
  if (ratios.length === 0) return false;
  if (worst !== undefined) return ratios.some((ratio) => ratio >= Number(worst));
  return sum(ratios) / ratios.length >= Number(mean);
}

export function groupByFeature(checks: readonly WeighedCheck[]): WeighedCheck[][] {
  const names = [...new Set(checks.map(({ feature }) => feature))];
  return names.map((name) => checks.filter(({ feature }) => feature === name));
}

/** The cumulative sum over checks of one feature, newest first. */
export function accumulate(checks: readonly WeighedCheck[], slack: number): number {
  let total = 0;
  for (const ratio of checks.toReversed().flatMap(ratioOf)) total = Math.max(0, total + ratio - 1 - slack);
  return total;
}

function countDriftedRuns(settings: Settings, drift: Drift): number {
  const checks = drift.all.filter(
    (check) =>
      isRecent(check, settings, drift) &&
      (drift.runsFrom === null || Date.parse(check.at) >= Date.parse(drift.runsFrom)),
  );
  let runs = 0;
  for (let first = 0; first < checks.length;) {
    let next = first + 1;
    while (next < checks.length && startOf(checks, next - 1) - startOf(checks, next) <= ms(settings["gap"]))
      next += 1;
    if (!checks.slice(first, next).some((check) => check.triggered && drift.counts(check))) return runs;
    runs += 1;
    first = next;
  }
  return runs;
}

function startOf(checks: readonly WeighedCheck[], index: number): number {
  return Date.parse(checks[index]?.at ?? "");
}

/** The scores of one feature that are near enough to be compared with, newest first. */
export function listScored(checks: readonly WeighedCheck[], settings: Settings, now: number): WeighedCheck[] {
  return checks.filter(({ score, at }) => score !== null && ageMs(at, now) < ms(settings["reach"]));
}

function hasUnusualScore(settings: Settings, drift: Drift): boolean {
  return groupByFeature(drift.all).some((own) => {
    const scored = listScored(own, settings, drift.now);
    return scored.some((check, index) => {
      if (!isRecent(check, settings, drift) || !drift.counts(check)) return false;
      const bar = barOf(scored.slice(index + 1), settings);
      return bar !== null && Number(check.score) > bar;
    });
  });
}

/** The 1 - q quantile of the last scores, interpolated; null if there are too few. */
export function barOf(scored: readonly WeighedCheck[], settings: Settings): number | null {
  const last = Number(settings["last"]);
  if (scored.length < last) return null;
  const sorted = scored
    .slice(0, last)
    .map(({ score }) => Number(score))
    .toSorted((a, b) => a - b);
  const place = (last - 1) * (1 - Number(settings["q"]));
  const below = sorted[Math.floor(place)] ?? 0;
  const above = sorted[Math.ceil(place)] ?? below;
  return below + (above - below) * (place - Math.floor(place));
}
