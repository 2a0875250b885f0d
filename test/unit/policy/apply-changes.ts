import type { Evidence, WeighedCheck } from "../../../src/core/evidence.ts";
import type { Change } from "../../../src/core/explain/explanation.ts";
import type { Policy } from "../../../src/core/policy.ts";
import { accumulate, ageMs, barOf, groupByFeature, listScored, ms } from "./second-drift.ts";
import { floorOf, takeApart } from "./second-evaluator.ts";

type Settings = Readonly<Record<string, unknown>>;

/** A world of which some changes came true. */
export interface Changed {
  evidence: Evidence;
  /** Unix milliseconds. */
  now: number;
}

/**
 * Makes changes come true, from their kind, place, size and time alone: at the instant that is one of them, else at `moment`,
 * else at the snapshot (Unix milliseconds).
 */
export function applyChanges(
  before: Evidence,
  policy: Policy,
  changes: readonly Pick<Change, "kind" | "place" | "size" | "at">[],
  moment?: number,
): Changed {
  const time = changes.find(({ kind }) => kind === "time")?.at ?? before.takenAt;
  const now = moment ?? Date.parse(time);
  let evidence = before;
  for (const { kind, place, size = 0 } of changes) {
    if (kind === "time") continue;
    const settings = place === undefined ? {} : settingsAt(policy, place);
    evidence = applyOne(evidence, { kind, size, settings, before, policy, now });
  }
  return { evidence, now };
}

interface One {
  kind: string;
  size: number;
  settings: Settings;
  before: Evidence;
  policy: Policy;
  now: number;
}

function applyOne(evidence: Evidence, { kind, size, settings, before, policy, now }: One): Evidence {
  const { buffer, trainings, interventions, takenAt } = evidence;
  switch (kind) {
    case "more_rows":
      return withRows(evidence, size);
    case "fewer_rows":
      return withRows(evidence, -size);
    case "more_alerts":
      return withChecks(
        evidence,
        now,
        Array.from({ length: size }, () => ({ triggered: true })),
      );
    case "fewer_alerts":
      return withoutAlerts(evidence, size);
    case "more_features":
      return withChecks(
        evidence,
        now,
        listMissing(before, settings)
          .slice(0, size)
          .map((feature) => ({ feature, triggered: true })),
      );
    case "more_runs":
      return withChecks(
        evidence,
        now,
        Array.from({ length: size }, (_, index) => ({
          at: new Date(now + (index + 1) * (ms(settings["gap"]) + 1)).toISOString(),
          triggered: true,
        })),
      );
    case "score":
      return withChecks(evidence, now, [{ score: size, threshold: 1 }]);
    case "cusum_score":
      return withChecks(evidence, now, [
        { feature: mostAccumulated(before, settings), score: size, threshold: 1 },
      ]);
    case "unusual_score":
      return withChecks(evidence, now, [{ feature: nearestToUnusual(before, settings), score: size }]);
    case "lower_scores":
      return {
        ...evidence,
        weighed: (evidence.weighed ?? []).map((check) => ({
          ...check,
          score: check.score === null ? null : check.score * (1 - size),
        })),
      };
    case "usual_scores":
      return withUsualScores(evidence, settings);
    case "large_check":
      return withChecks(evidence, now, [{ samples: floorOf(policy.when) }]);
    case "drift_check":
      return withChecks(evidence, now, [{}]);
    case "quality_check":
      return withChecks(
        evidence,
        now,
        (policy.guards["dataQuality"] as { veto: string[] }).veto.map((feature) => ({ feature })),
      );
    case "training_ends":
      return { ...evidence, inFlight: [] };
    case "trained":
      return {
        ...evidence,
        buffer: { ...buffer, grown: buffer.grown && 0, waiting: buffer.waiting && { rows: 0, rowDays: 0 } },
        trainings: { ...trainings, lastSucceeded: { decisionId: 8, at: takenAt, bufferSize: buffer.size } },
      };
    case "approved":
      return {
        ...evidence,
        interventions: {
          ...interventions,
          approval: {
            decisionId: 8,
            state: "approved",
            requestedAt: takenAt,
            expiresAt: "9000-01-01T00:00:00Z",
            answeredAt: takenAt,
            by: "operator",
            reason: null,
          },
        },
      };
    default:
      throw new Error(`no such change: ${kind}`);
  }
}

/** The settings of the criterion at a place such as `when.all[1].of[0]`. */
function settingsAt({ when }: Policy, place: string): Settings {
  let tree = when;
  for (const [, index] of place.matchAll(/\[(\d+)\]/g)) {
    const node = takeApart(tree);
    const part = "parts" in node ? node.parts[Number(index)] : undefined;
    if (part === undefined) throw new Error(`nothing at ${place}`);
    tree = part;
  }
  const node = takeApart(tree);
  if ("parts" in node) throw new Error(`no criterion at ${place}`);
  return node.settings;
}

function withRows(evidence: Evidence, change: number): Evidence {
  const { buffer } = evidence;
  const { size, grown, waiting } = buffer;
  const shift = (rows: number): number => Math.max(0, rows + change);
  return {
    ...evidence,
    buffer: {
      ...buffer,
      size: shift(size),
      grown: grown === null ? null : shift(grown),
      waiting: waiting && { ...waiting, rows: shift(waiting.rows) },
    },
  };
}

/** With checks made at an instant, on enough samples unless they say otherwise. */
function withChecks(evidence: Evidence, now: number, added: readonly Partial<WeighedCheck>[]): Evidence {
  const rows = added.map((own, index) => ({
    id: `later-${index}`,
    at: new Date(now).toISOString(),
    feature: null,
    score: null,
    threshold: null,
    triggered: false,
    samples: 1e15,
    hasGap: false,
    answeredBy: null,
    failed: null,
    ...own,
  }));
  const { checks } = evidence;
  const newest = [
    ...rows.map(({ id, at, feature, score, threshold, triggered }) => ({
      id,
      checkedAt: at,
      feature,
      score,
      threshold,
      triggered,
      notes: null,
    })),
    ...checks.newest,
  ];
  return {
    ...evidence,
    weighed: [...rows, ...(evidence.weighed ?? [])].toSorted((a, b) => Date.parse(b.at) - Date.parse(a.at)),
    checks: {
      ...checks,
      total: checks.total + rows.length,
      triggered: checks.triggered + rows.filter(({ triggered }) => triggered).length,
      newest,
    },
  };
}

function withoutAlerts(evidence: Evidence, size: number): Evidence {
  const alerts = (evidence.weighed ?? []).filter(({ triggered }) => triggered).slice(0, size);
  const { checks } = evidence;
  return {
    ...evidence,
    weighed: (evidence.weighed ?? []).map((check) =>
      alerts.includes(check) ? { ...check, triggered: false } : check,
    ),
    checks: { ...checks, triggered: checks.triggered - alerts.length },
  };
}

/** The features that have no unanswered alert yet, the weightiest first; then the others. */
function listMissing(evidence: Evidence, settings: Settings): string[] {
  const weights = (settings["weights"] ?? {}) as Record<string, number>;
  const named = (settings["of"] as string[] | undefined) ?? Object.keys(weights).toSorted();
  if (named.length === 0) return Array.from({ length: 50 }, (_, index) => `some feature ${index}`);
  const now = Date.parse(evidence.takenAt);
  const drifting = (evidence.weighed ?? [])
    .filter(
      (check) =>
        check.triggered && check.answeredBy === null && ageMs(check.at, now) < ms(settings["within"]),
    )
    .map(({ feature }) => feature);
  const sorted = named.toSorted((a, b) => (weights[b] ?? 1) - (weights[a] ?? 1));
  return [
    ...sorted.filter((name) => !drifting.includes(name)),
    ...sorted.filter((name) => drifting.includes(name)),
  ];
}

function mostAccumulated(evidence: Evidence, settings: Settings): string | null {
  const now = Date.parse(evidence.takenAt);
  const recent = (evidence.weighed ?? []).filter(
    (check) =>
      ageMs(check.at, now) < ms(settings["within"]) &&
      check.answeredBy === null &&
      !check.hasGap &&
      check.score !== null &&
      (check.threshold ?? 0) > 0,
  );
  // Of equals, the one that was checked first.
  const groups = groupByFeature(recent.toReversed()).map((group) => group.toReversed());
  const [most] = groups
    .map((checks) => ({
      feature: checks[0]?.feature ?? null,
      sum: accumulate(checks, Number(settings["slack"])),
    }))
    .toSorted((a, b) => b.sum - a.sum);
  return most?.feature ?? null;
}

/** The feature whose newest score is nearest to its bar. */
function nearestToUnusual(evidence: Evidence, settings: Settings): string | null {
  // Of equals, the one that has the newest score.
  const [nearest] = groupByFeature(
    listScored(
      (evidence.weighed ?? []).filter(({ hasGap }) => !hasGap),
      settings,
      Date.parse(evidence.takenAt),
    ),
  )
    .flatMap((scored) => {
      const bar = barOf(scored, settings);
      return bar === null
        ? []
        : [{ feature: scored[0]?.feature ?? null, distance: bar - Number(scored[0]?.score) }];
    })
    .toSorted((a, b) => a.distance - b.distance);
  return nearest?.feature ?? null;
}

/** No score above the bar of those before it: each lowered to its bar, the oldest first. */
function withUsualScores(evidence: Evidence, settings: Settings): Evidence {
  const now = Date.parse(evidence.takenAt);
  let checks = [...(evidence.weighed ?? [])];
  for (let index = checks.length - 1; index >= 0; index -= 1) {
    const check = checks[index];
    if (!check || check.hasGap || check.score === null || ageMs(check.at, now) >= ms(settings["within"]))
      continue;
    const earlier = checks
      .slice(index + 1)
      .filter(({ feature, hasGap }) => feature === check.feature && !hasGap);
    const bar = barOf(listScored(earlier, settings, now), settings);
    if (bar !== null && check.score > bar) checks = checks.with(index, { ...check, score: bar });
  }
  return { ...evidence, weighed: checks };
}
