import { z } from "zod";
import { atLeast, type Criterion } from "../check.ts";
import { duration } from "../duration.ts";
import type { Evidence } from "../evidence.ts";
import type { Lever } from "../explain/lever.ts";
import { addChecks, fewerAlerts } from "../explain/levers.ts";
import { featureNames, type Fields, type FieldValues, figure } from "../fields.ts";
import { type Facts, listChecksWithin, snapshotFacts } from "../facts.ts";
import { formatCount, toPlain } from "../format.ts";

const fields = {
  atLeast: {
    schema: figure({ above: 0, max: 1e6 }),
    default: 1,
    meaning: "Minimum number of features with an alert; with `weights`, the minimum sum of their weights.",
  },
  of: { schema: featureNames, optional: true, meaning: "Only these features count; all if left out." },
  weights: {
    schema: z
      .record(z.string(), figure({ above: 0, max: 1e6 }), {
        error: "expected weights such as { ks: 2, mean: 1 }",
      })
      .refine((weights) => Object.keys(weights).length > 0, { error: "expected at least one weight" }),
    optional: true,
    meaning: "The weight of each feature that counts; others do not count.",
  },
  within: { schema: duration("1m"), default: "7d", meaning: "Older alerts do not count." },
} as const satisfies Fields;

type Settings = FieldValues<typeof fields>;

/** Enough distinct features drift, however often each of them was checked. */
export const features = {
  id: "features",
  key: "features",
  reason: "too_few_features",
  carries: "drift_detected",
  isDrift: true,
  label: "Enough features drifting?",
  fields,
  columns: ["feature"],
  shorthand: "atLeast",
  docs: {
    rule: "At least N distinct features have an alert within the time, or the weights of these features add up to N.",
    example: "features: { atLeast: 2, of: [ks, mean, std] }",
  },
  findFaults: ({ atLeast: required, of, weights }) => {
    if (of !== undefined && weights !== undefined)
      return [
        {
          path: ["of"],
          message: "features takes either of or weights: the weights name the features already",
        },
      ];
    const most = computeMost({ of, weights });
    return required > most
      ? [
          {
            path: ["atLeast"],
            message: `expected at most ${most}, which is what the named features can reach`,
          },
        ]
      : [];
  },
  needs: ({ within }) => ({ within }),
  evaluate: (facts, settings) =>
    atLeast(
      settings.atLeast,
      sum([...listDrifting(facts, settings)].map((name) => weightOf(name, settings))),
    ),
  report: ({ actual, required }) => [
    `Features: ${formatCount(actual)}`,
    `Required: ${formatCount(required)}`,
  ],
  summarize: ({ actual }) => `Features drifting: ${formatCount(actual)}`,
  brief: ({ result: { actual, required } }) =>
    actual === 0
      ? "no feature drifts"
      : `only ${formatCount(actual)} of ${formatCount(required)} features drift`,
  explain: ({ result: { actual, required }, settings: { of, weights } }) => [
    `Features: ${formatCount(actual)} drifting, ${formatCount(required)} required${of || weights ? ` of ${namesOf({ of, weights }).map(toPlain).join(", ")}` : ""}`,
  ],
  advise: () => [],
  levers: (settings, place) => ({ raise: [moreFeatures(settings, place)], lower: [fewerAlerts("features")] }),
} as const satisfies Criterion<typeof fields>;

type Named = Pick<Settings, "of" | "weights">;

function namesOf({ of, weights }: Named): string[] {
  // Sorted, because a recorded policy comes back with its keys in another order.
  return weights ? Object.keys(weights).toSorted() : (of ?? []);
}

function computeMost(named: Named): number {
  if (!named.of && !named.weights) return Number.POSITIVE_INFINITY;
  return sum(namesOf(named).map((name) => weightOf(name, named)));
}

function weightOf(name: string, { of, weights }: Named): number {
  if (weights) return weights[name] ?? 0;
  return of === undefined || of.includes(name) ? 1 : 0;
}

function sum(figures: readonly number[]): number {
  return figures.reduce((total, part) => total + part, 0);
}

function listDrifting(facts: Facts, settings: Settings): Set<string> {
  return new Set(
    listChecksWithin(facts, settings.within).flatMap(({ triggered, feature }) =>
      triggered && feature !== null ? [feature] : [],
    ),
  );
}

/** Alerts on features that have none yet, the weightiest first. */
function moreFeatures(settings: Settings, place: string): Lever {
  const names = namesOf(settings).toSorted((a, b) => weightOf(b, settings) - weightOf(a, settings));
  const findMissing = (evidence: Evidence): string[] => {
    if (names.length === 0)
      return Array.from(
        { length: Math.ceil(settings.atLeast) },
        (_, index) => `another feature (${index + 1})`,
      );
    const drifting = listDrifting(snapshotFacts(evidence), settings);
    const isNew = (name: string): boolean => !drifting.has(name);
    return [...names.filter(isNew), ...names.filter((name) => !isNew(name))];
  };
  return {
    id: `more_features@${place}`,
    check: "features",
    kind: "count",
    scale: Math.max(1, settings.atLeast),
    limit: (evidence) => findMissing(evidence).length,
    apply: (evidence, size, { at, original }) =>
      addChecks(
        evidence,
        findMissing(original)
          .slice(0, size)
          .map((feature) => ({ feature })),
        at,
      ),
    describe(size, evidence) {
      if (names.length === 0)
        return size === 1 ? "an alert on one more feature" : `alerts on ${formatCount(size)} more features`;
      const missing = findMissing(evidence).slice(0, size).map(toPlain);
      return `${size === 1 ? "an alert" : "alerts"} on ${missing.join(" and ")}`;
    },
  };
}
