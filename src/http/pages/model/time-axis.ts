import type { CheckRow } from "../../../postgres/pages/check-history.ts";
import type { ModelView } from "../../../use-cases/model-view.ts";
import { nameOfCheck } from "../../parts/check-name.ts";
import type { FeatureSeries, Planned } from "../../parts/timeline/layout.ts";

/**
 * The range of the axis, Unix milliseconds: no empty space before the first entry, and room for what is planned, up to half of
 * the range that was chosen.
 */
export function computeAxis(
  { checks, history }: Pick<ModelView, "checks" | "history">,
  planned: readonly Planned[],
  { seconds, now }: { seconds: number; now: number },
): [from: number, to: number] {
  const first = [...checks.slice(-1), ...history.decisions.slice(-1)].map(({ at }) => Date.parse(at));
  const earliest = Math.min(...first, now - seconds * 100);
  // A check may be dated a day ahead.
  const last = checks.slice(0, 1).map(({ at }) => Date.parse(at));
  const latest = Math.max(now + seconds * 40, ...last, ...planned.map(({ at }) => at));
  return [
    Math.max(now - seconds * 1000, earliest - seconds * 20),
    Math.min(latest + seconds * 20, now + seconds * 500),
  ];
}

/** The checks by feature, those with the highest recent score in thresholds first. */
export function listSeries(checks: readonly CheckRow[]): FeatureSeries[] {
  const features = new Map<string, CheckRow[]>();
  for (const check of checks.toReversed()) {
    const feature = check.feature ?? "(no name)";
    const known = features.get(feature);
    if (known) known.push(check);
    else features.set(feature, [check]);
  }
  const weight = ({ checks: own }: FeatureSeries): number => {
    const { score = null, threshold = null, triggered = false } = own.at(-1) ?? {};
    return (
      (triggered ? 1e6 : 0) + (score === null || threshold === null || threshold <= 0 ? 0 : score / threshold)
    );
  };
  return [...features]
    .map(([feature, own]) => ({ feature, checks: own }))
    .toSorted((a, b) => weight(b) - weight(a) || (a.feature < b.feature ? -1 : 1));
}

/** What is planned, the earliest first: ends of guards, the schedule, the next look. */
export function listPlanned({ basis, nextFiringAt }: Pick<ModelView, "basis" | "nextFiringAt">): Planned[] {
  const guards = (basis?.verdict.guards ?? []).flatMap(({ id, passed, nextLookAt }) =>
    passed || nextLookAt === undefined
      ? []
      : [{ label: `${nameOfCheck(id)} ends`, at: Date.parse(nextLookAt) }],
  );
  const next = basis?.verdict.nextLookAt ?? null;
  const isKnown = guards.some(({ at }) => next !== null && at === Date.parse(next));
  return [
    ...guards,
    ...(nextFiringAt === null ? [] : [{ label: "schedule", at: nextFiringAt }]),
    ...(next === null || isKnown ? [] : [{ label: "next look", at: Date.parse(next) }]),
  ].toSorted((a, b) => a.at - b.at);
}
