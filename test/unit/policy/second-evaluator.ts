import type { Evidence, WeighedCheck } from "../../../src/core/evidence.ts";
import type { Policy } from "../../../src/core/policy.ts";
import { ageMs, judgeDrift, ms, sum } from "./second-drift.ts";
import { isQuiet } from "./second-quiet-hours.ts";

/*
 * The rules of policies a second time, written from their documentation and apart from src/core: plain, slow, and without
 * the parts that find out when a verdict changes. It reads evidence that lists its checks (`weighed`).
 */

/**
 * Which checks count: all, those that no training was for, of these those that no failure holds back, or of
 * these again those that a failed training was for.
 */
export type Mode = "all" | "unanswered" | "released" | "failed" | "new";

type Settings = Readonly<Record<string, unknown>>;
type Tree = Policy["when"];

export interface World {
  evidence: Evidence;
  policy: Policy;
  now: number;
}

/** The reason codes of each criterion: if it fails, and if it carried a trigger. */
const CODES: Readonly<Record<string, { fails: string; carries?: string }>> = {
  recentDriftChecks: { fails: "no_recent_drift_checks" },
  driftAlerts: { fails: "no_drift_alerts", carries: "drift_detected" },
  bufferSize: { fails: "insufficient_buffer", carries: "buffer_full" },
  features: { fails: "too_few_features", carries: "drift_detected" },
  consecutiveRuns: { fails: "too_few_consecutive_runs", carries: "drift_detected" },
  severity: { fails: "severity_too_low", carries: "drift_detected" },
  quantile: { fails: "no_unusual_score", carries: "drift_detected" },
  cusum: { fails: "cusum_too_low", carries: "drift_detected" },
  sampleFloor: { fails: "too_few_samples" },
  maxAge: { fails: "max_age_not_reached", carries: "max_age" },
  bufferGrowth: { fails: "insufficient_growth", carries: "buffer_growth" },
  waitingCost: { fails: "waiting_cost_too_low", carries: "waiting_cost" },
};

/** If several criteria carried a trigger, the first of these is its reason. */
const REASONS = ["drift_detected", "max_age", "waiting_cost", "buffer_growth", "buffer_full"];

export interface SecondOpinion {
  decision: "trigger" | "no_action";
  /** The codes of the failed checks: the criteria in the order of the tree, then the guards in theirs. */
  failed: string[];
  /** For a trigger what carried it, else the failed codes. */
  reason: string;
}

/** Decides about evidence at an instant (Unix milliseconds). */
export function decide(
  evidence: Evidence,
  policy: Policy,
  now = Date.parse(evidence.takenAt),
): SecondOpinion {
  const world = { evidence, policy, now };
  const isForced = evidence.interventions.override !== null;
  const failed = [
    ...new Set([...listFailing(world, policy.when), ...(isForced ? [] : listObjections(world))]),
  ];
  if (failed.length > 0) return { decision: "no_action", failed, reason: failed.join(",") };
  // What the guards do not let count has not carried the trigger.
  const mode = isForced ? "all" : "released";
  const carriers = listCarriers(world, policy.when, mode);
  return { decision: "trigger", failed, reason: REASONS.find((code) => carriers.includes(code)) ?? "" };
}

/** A criterion's key and settings, or the parts of a combination and how many of them must hold. */
type Node = { key: string; settings: Settings } | { parts: Tree[]; needed: number };

export function takeApart(tree: Tree): Node {
  const given = tree as Record<string, unknown>;
  if (Array.isArray(given["of"])) return { parts: given["of"] as Tree[], needed: Number(given["atLeast"]) };
  if (Array.isArray(given["all"])) return { parts: given["all"] as Tree[], needed: given["all"].length };
  if (Array.isArray(given["any"])) return { parts: given["any"] as Tree[], needed: 1 };
  const [key = ""] = Object.keys(given);
  return { key, settings: given[key] as Settings };
}

function holds(world: World, tree: Tree, mode: Mode, isDriftOnly = false): boolean {
  const node = takeApart(tree);
  if ("parts" in node)
    return node.parts.filter((part) => holds(world, part, mode, isDriftOnly)).length >= node.needed;
  if (isDriftOnly && CODES[node.key]?.carries !== "drift_detected") return true;
  return isMet(world, node.key, node.settings, mode);
}

function listFailing(world: World, tree: Tree): string[] {
  if (holds(world, tree, "all")) return [];
  const node = takeApart(tree);
  if ("parts" in node) return node.parts.flatMap((part) => listFailing(world, part));
  return [CODES[node.key]?.fails ?? ""];
}

function listCarriers(world: World, tree: Tree, mode: Mode): string[] {
  if (!holds(world, tree, mode)) return [];
  const node = takeApart(tree);
  if ("parts" in node) return node.parts.flatMap((part) => listCarriers(world, part, mode));
  return [CODES[node.key]?.carries ?? []].flat();
}

/** Whether new checks alone meet the criterion at a place. */
function isMetAt(world: World, tree: Tree, place: readonly string[]): boolean {
  const node = takeApart(tree);
  const part = "parts" in node ? node.parts[Number(place[0])] : undefined;
  if (part !== undefined) return isMetAt(world, part, place.slice(1));
  return "key" in node && isMet(world, node.key, node.settings, "new");
}

/** Where drift carries the condition. */
function listDrifting(world: World, tree: Tree, mode: Mode, place = ""): string[] {
  if (!holds(world, tree, mode)) return [];
  const node = takeApart(tree);
  if ("parts" in node)
    return node.parts.flatMap((part, index) => listDrifting(world, part, mode, `${place}.${index}`));
  return CODES[node.key]?.carries === "drift_detected" ? [place] : [];
}

export function floorOf(tree: Tree): number {
  const node = takeApart(tree);
  if ("parts" in node) return Math.max(0, ...node.parts.map(floorOf));
  return node.key === "sampleFloor" ? Number(node.settings["atLeast"]) : 0;
}

/** The checks on enough samples, newest first. */
function listLargeEnough({ evidence, policy }: World): WeighedCheck[] {
  const floor = floorOf(policy.when);
  return (evidence.weighed ?? []).filter(({ samples }) => floor === 0 || (samples ?? 0) >= floor);
}

function countsIn(world: World, mode: Mode): (check: WeighedCheck) => boolean {
  return ({ answeredBy, failed }) => {
    if (mode === "all") return true;
    const isNew = answeredBy === null && failed === null;
    if (mode === "new" || (mode === "failed" && isNew)) return mode === "new" && isNew;
    if (answeredBy !== null) return isOff(world.policy, "alreadyActedOn");
    const base = backoffOf(world.policy);
    return mode === "unanswered" || failed === null || base === null || world.now >= backoffEnd(failed, base);
  };
}

function isMet(world: World, key: string, settings: Settings, mode: Mode): boolean {
  const { evidence, now } = world;
  const { buffer, trainings } = evidence;
  const atLeast = Number(settings["atLeast"]);
  const large = listLargeEnough(world);
  switch (key) {
    case "recentDriftChecks":
      return hasRecentCheck(world, settings);
    case "sampleFloor":
      return large.some(({ at }) => ageMs(at, now) < ms(settings["within"]));
    case "bufferSize":
      return buffer.size >= atLeast;
    case "bufferGrowth":
      return buffer.grown !== null && buffer.grown >= atLeast;
    case "maxAge": {
      // The first decision about a model may be this one.
      const origin = trainings.lastSucceeded?.at ?? trainings.firstDecisionAt ?? evidence.takenAt;
      return ageMs(origin, now) >= ms(settings["atLeast"]);
    }
    case "waitingCost":
      return hasWaitedEnough(world, settings);
    default:
      return judgeDrift(key, settings, {
        all: large,
        counts: countsIn(world, mode),
        now,
        runsFrom: evidence.checks.runsFrom,
      });
  }
}

function hasRecentCheck(world: World, settings: Settings): boolean {
  const { evidence, now } = world;
  const within = ms(settings["within"]);
  if (listLargeEnough(world).some(({ at }) => ageMs(at, now) < within)) return true;
  if (evidence.hasQuietChecks) return false;
  // The list has alerts only; of the other checks, the newest and their number are known.
  if (evidence.checks.newest.some(({ checkedAt }) => ageMs(checkedAt, now) < within)) return true;
  return now === Date.parse(evidence.takenAt) && evidence.checks.total > 0;
}

function hasWaitedEnough({ evidence, now }: World, settings: Settings): boolean {
  const { waiting } = evidence.buffer;
  const daysSince = ageMs(evidence.takenAt, now) / 86_400_000;
  const rowDays = (waiting?.rowDays ?? 0) + (waiting?.rows ?? 0) * daysSince;
  return rowDays >= Number(settings["hourWorth"]) * trainingHours(evidence, ms(settings["assume"]));
}

/** A straight line through past trainings, at the rows of the next one; never quicker than the quickest. */
function trainingHours({ trainings, buffer }: Evidence, assumeMs: number): number {
  const { durations, nextRows } = trainings;
  const count = durations.length;
  if (count === 0) return assumeMs / 3_600_000;
  const x = sum(durations.map(({ rows }) => rows));
  const y = sum(durations.map(({ seconds }) => seconds));
  const xx = sum(durations.map(({ rows }) => rows * rows));
  const xy = sum(durations.map(({ rows, seconds }) => rows * seconds));
  const isFlat = durations.every(({ rows }) => rows === durations[0]?.rows);
  const slope = isFlat ? 0 : (count * xy - x * y) / (count * xx - x * x);
  const seconds = (y - slope * x) / count + slope * (nextRows ?? buffer.size);
  return Math.max(seconds, Math.min(...durations.map((past) => past.seconds))) / 3_600;
}

function isOff({ guards }: Policy, key: string): boolean {
  return guards[key] === "off";
}

function backoffOf(policy: Policy): number | null {
  const own = policy.guards["retryBackoff"];
  if (own === "off") return null;
  return ms(own?.["base"] ?? "1h");
}

/** Doubled with each failure in a row, at most a week. */
function backoffEnd({ endedAt, failures }: { endedAt: string; failures: number }, baseMs: number): number {
  return Date.parse(endedAt) + Math.min(baseMs * 2 ** (failures - 1), ms("7d"));
}

/** Whether the condition owes itself to checks that count in one mode and not in the other. */
function owes(world: World, mode: Mode, stricter: Mode): boolean {
  const { when } = world.policy;
  const isLost = (isDriftOnly: boolean): boolean =>
    holds(world, when, mode, isDriftOnly) && !holds(world, when, stricter, isDriftOnly);
  return isLost(false) || isLost(true);
}

type Objection = (world: World, settings: Settings) => boolean;

const OBJECTIONS: Readonly<Record<string, Objection>> = {
  already_acted_on: (world) => owes(world, "all", "unanswered"),
  retry_backoff: isHeldByFailure,
  training_in_flight: ({ evidence, now }) =>
    evidence.inFlight.some(({ until }) => until === null || now < Date.parse(until)),
  cooldown({ evidence, now }, settings) {
    const { lastRequestedAt, lastSucceeded } = evidence.trainings;
    const last = settings["since"] === "success" ? (lastSucceeded?.at ?? null) : lastRequestedAt;
    return last !== null && ageMs(last, now) < ms(settings["for"]);
  },
  quiet_hours: ({ now }, settings) => isQuiet(now, settings),
  budget_spent: ({ evidence, now }, settings) => isSpent(evidence.trainings.requestedAt, settings, now),
  total_budget_spent: ({ evidence, now }, settings) =>
    isSpent(evidence.trainings.requestedByAll, settings, now),
  data_quality: ({ evidence, now }, settings) =>
    (settings["veto"] as string[]).some((name) => {
      const newest = (evidence.weighed ?? []).find(({ feature }) => feature === name);
      return newest?.triggered === true && ageMs(newest.at, now) < ms(settings["within"]);
    }),
  snoozed: ({ evidence, now }) =>
    evidence.interventions.snooze !== null && now < Date.parse(evidence.interventions.snooze.until),
};

const GUARD_KEYS = {
  already_acted_on: "alreadyActedOn",
  retry_backoff: "retryBackoff",
  training_in_flight: "trainingInFlight",
  cooldown: "cooldown",
  quiet_hours: "quietHours",
  budget_spent: "budget",
  total_budget_spent: "totalBudget",
  data_quality: "dataQuality",
  snoozed: "snooze",
} as const;
const ON_BY_DEFAULT = ["alreadyActedOn", "retryBackoff", "trainingInFlight", "snooze"];

function listObjections(world: World): string[] {
  const { evidence, policy, now } = world;
  const codes = Object.entries(GUARD_KEYS).flatMap(([code, key]) => {
    const own = policy.guards[key] ?? (ON_BY_DEFAULT.includes(key) ? {} : "off");
    return own !== "off" && OBJECTIONS[code]?.(world, own) ? [code] : [];
  });
  const approval = policy.guards["approval"];
  const isCalledFor = codes.length === 0 && holds(world, policy.when, "all");
  if (approval === undefined || approval === "off" || !isCalledFor) return codes;
  const { approval: request } = evidence.interventions;
  return request?.state === "approved" && now < Date.parse(request.expiresAt) ? codes : ["awaiting_approval"];
}

function isSpent(requestedAt: readonly string[], settings: Settings, now: number): boolean {
  return (
    requestedAt.filter((at) => ageMs(at, now) < ms(settings["per"])).length >= Number(settings["atMost"])
  );
}

function isHeldByFailure(world: World): boolean {
  const { evidence, policy, now } = world;
  const base = backoffOf(policy);
  if (base === null) return false;
  if (owes(world, "unanswered", "released")) return true;
  const { lastFailed } = evidence.trainings;
  if (lastFailed === null || now >= backoffEnd(lastFailed, base)) return false;
  if (!holds(world, policy.when, "released")) return false;
  // A place at which drift carries the condition with new checks alone calls for a training anew.
  const before = listDrifting(world, policy.when, "failed");
  return listDrifting(world, policy.when, "released").every(
    (place) => before.includes(place) && !isMetAt(world, policy.when, place.split(".").slice(1)),
  );
}
