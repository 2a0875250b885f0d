import { z } from "zod";
import { type CheckResult, type Guard, type GuardInput, toResult } from "./check.ts";
import {
  type ConditionResult,
  evaluateCondition,
  holds,
  holdsAsDriftGoes,
  listCarrying,
  listFailed,
  listResults,
} from "./condition.ts";
import { CRITERIA } from "./criteria/registry.ts";
import { findDriftRunsDue } from "./drift-runs.ts";
import type { Evidence } from "./evidence.ts";
import { type Counting, type Facts, isDiscounted } from "./facts.ts";
import { GUARDS } from "./guards/registry.ts";
import {
  backoffOf,
  countRequiredAlerts,
  hasRetriggerGuard,
  type Policy,
  sampleFloorOf,
  settingsOf,
} from "./policy.ts";

/** A reason why a model is not retrained: the code of a failed check, as in `retraining_decisions.reason`. */
export const NoActionReason = z.enum([...CRITERIA, ...GUARDS].map(({ reason }) => reason));

/** The reason of a `trigger` of which drift was part. */
const DRIFT_REASON = "drift_detected";

/** The criteria that measure drift. */
const DRIFT_IDS: ReadonlySet<string> = new Set(CRITERIA.filter(({ isDrift }) => isDrift).map(({ id }) => id));

const REASON_OF: ReadonlyMap<string, string> = new Map(CRITERIA.map(({ id, reason }) => [id, reason]));

/** How many ends of criteria the search for the end of a guard passes. */
const MAX_ENDS = 100;

/** What a policy says about evidence at an instant; `Verdict` describes the fields. */
export interface Judgement {
  decision: "trigger" | "no_action";
  reason: string;
  criteria: CheckResult[];
  condition: ConditionResult;
  guards: CheckResult[];
  failed: string[];
  forced: { by: string; reason: string } | null;
  driftScore: number | null;
  feature: string | null;
  nextLookAt: string | null;
}

/**
 * Evaluates evidence against a policy without explaining the verdict, also for a later instant than that of the snapshot (Unix
 * milliseconds).
 */
export function judge(evidence: Evidence, policy: Policy, now = Date.parse(evidence.takenAt)): Judgement {
  const condition = evaluateCondition(policy.when, factsOf(evidence, policy, now, "all"));
  const { results, objections } = runGuards(evidence, policy, now, condition.passed);
  const { override } = evidence.interventions;
  const isForced = override !== null;
  const failedCriteria = listFailed(condition);
  const driftRunsDue = findDriftRunsDue(evidence, now);
  const failed = [
    ...failedCriteria.flatMap(({ id }) => REASON_OF.get(id) ?? []),
    ...(isForced ? [] : objections.map(({ reason }) => reason)),
  ];
  const shared = {
    criteria: listResults(condition).map(({ kind: _kind, ...result }) => result),
    condition,
    guards: isForced
      ? results.map((result) => (result.passed ? result : { ...result, overridden: true as const }))
      : results,
    failed: [...new Set(failed)],
    forced: override && { by: override.by, reason: override.reason },
  };
  if (failed.length > 0) {
    return {
      ...shared,
      decision: "no_action",
      reason: shared.failed.join(","),
      driftScore: null,
      feature: null,
      nextLookAt: findNextLook(
        [...failedCriteria, ...(isForced ? [] : results.filter(({ passed }) => !passed))],
        driftRunsDue,
      ),
    };
  }
  const newest = evidence.checks.newestTriggered[0];
  // Checks that the guards do not let count have not carried the trigger.
  const counting = isForced ? "all" : "released";
  return {
    ...shared,
    decision: "trigger",
    reason: findReason(evaluateCondition(policy.when, factsOf(evidence, policy, now, counting))),
    driftScore: newest?.score ?? null,
    feature: newest?.feature ?? null,
    nextLookAt: findNextLook([], driftRunsDue),
  };
}

function factsOf(evidence: Evidence, policy: Policy, now: number, counting: Counting): Facts {
  const { sampleFloor, isGuarded, backoff } = basisOf(policy);
  return { evidence, now, counting, sampleFloor, isGuarded, backoff, lists: new Map() };
}

/** What follows from a policy alone. */
interface Basis extends Pick<Facts, "sampleFloor" | "isGuarded" | "backoff"> {
  requiredAlerts: number;
  /** The guards that are on, with their settings. */
  guards: readonly { guard: Guard; settings: Record<string, unknown> }[];
}

const bases = new WeakMap<Policy, Basis>();

/** Computed once: policies do not change, and the search for flips judges by one many times. */
function basisOf(policy: Policy): Basis {
  const known = bases.get(policy);
  if (known !== undefined) return known;
  const basis = {
    sampleFloor: sampleFloorOf(policy),
    isGuarded: hasRetriggerGuard(policy),
    backoff: backoffOf(policy),
    requiredAlerts: countRequiredAlerts(policy),
    guards: GUARDS.flatMap((guard) => {
      const settings = settingsOf(policy, guard);
      return settings === null ? [] : [{ guard, settings }];
    }),
  };
  bases.set(policy, basis);
  return basis;
}

/** Whether evidence leads to a trigger at an instant (Unix milliseconds): the decision of `judge`, in a fraction of the time. */
export function wouldTrigger(evidence: Evidence, policy: Policy, now: number): boolean {
  if (!conditionHolds(evidence, policy, now)) return false;
  if (evidence.interventions.override !== null) return true;
  const input = { ...createGuardInput(evidence, policy, now, true), othersPass: true };
  return basisOf(policy).guards.every(({ guard, settings }) => guard.evaluate(input, settings).passed);
}

/** Whether the condition of the policy holds at an instant (Unix milliseconds), whatever the guards say. */
export function conditionHolds(evidence: Evidence, policy: Policy, now: number): boolean {
  return holds(policy.when, factsOf(evidence, policy, now, "all"));
}

/** Runs the guards that are on, each knowing whether the condition holds and all before it passed. */
function runGuards(
  evidence: Evidence,
  policy: Policy,
  now: number,
  isConditionMet: boolean,
): { results: CheckResult[]; objections: Guard[] } {
  const input = { ...createGuardInput(evidence, policy, now, isConditionMet), othersPass: isConditionMet };
  const results: CheckResult[] = [];
  const objections: Guard[] = [];
  for (const { guard, settings } of basisOf(policy).guards) {
    input.othersPass = isConditionMet && objections.length === 0;
    const result = toResult(guard, guard.evaluate(input, settings));
    results.push(result);
    if (!result.passed) objections.push(guard);
  }
  return { results, objections };
}

function createGuardInput(
  evidence: Evidence,
  policy: Policy,
  now: number,
  isConditionMet: boolean,
): Omit<GuardInput, "othersPass"> {
  const basis = basisOf(policy);
  // The guards ask for the same facts again and again.
  const current = new Map<Counting, Facts>();
  const facts = (counting: Counting, at: number): Facts => {
    const known = at === now ? current.get(counting) : undefined;
    if (known !== undefined) return known;
    const own = factsOf(evidence, policy, at, counting);
    if (at === now) current.set(counting, own);
    return own;
  };
  const holdsAt = (counting: Counting, at: number): boolean =>
    counting === "all" && at === now ? isConditionMet : holds(policy.when, facts(counting, at));
  const drifts = (counting: Counting, at: number): boolean =>
    holdsAsDriftGoes(policy.when, facts(counting, at));
  const loses = (counting: Counting, than: Counting, at = now): boolean =>
    canLose(evidence) &&
    ((holdsAt(counting, at) && !holdsAt(than, at)) || (drifts(counting, at) && !drifts(than, at)));
  const listDrift = (counting: Counting, at: number): boolean[] => {
    const condition = evaluateCondition(policy.when, facts(counting, at));
    const carrying = listCarrying(condition).filter(({ id }) => DRIFT_IDS.has(id));
    return listResults(condition).map((result) => carrying.includes(result));
  };
  const isCarriedByNew = (at: number): boolean => {
    const older = listDrift("failed", at);
    const alone = listResults(evaluateCondition(policy.when, facts("new", at)));
    return listDrift("released", at).some(
      (carries, index) => carries && (!older[index] || alone[index]?.passed === true),
    );
  };
  const findEnd: GuardInput["findEnd"] = (objects, counting, instants = []) => {
    let at = now;
    for (let ends = 0; ends < MAX_ENDS; ends += 1) {
      const condition = evaluateCondition(policy.when, facts(counting, at));
      const next = findNextLook(listFailed(condition), null);
      const later = [...instants, ...(next === null ? [] : [Date.parse(next)])].filter((end) => end > at);
      if (later.length === 0) return null;
      at = Math.min(...later);
      if (!objects(at)) return at;
    }
    return null;
  };
  return {
    evidence,
    now,
    holds: (counting, at = now) => holdsAt(counting, at),
    loses,
    isCarriedByNew,
    findEnd,
    requiredAlerts: basis.requiredAlerts,
    backoff: basis.backoff,
  };
}

/** Whether a training was for any check, listed or not. */
function canLose(evidence: Evidence): boolean {
  return isDiscounted(evidence) || evidence.alerts.unanswered < evidence.checks.triggered;
}

/** What carried the condition: drift if it was part of it, else the first criterion that is a reason by itself. */
function findReason(condition: ConditionResult): string {
  const carrying = listCarrying(condition).flatMap(
    ({ id }) => CRITERIA.find((criterion) => criterion.id === id) ?? [],
  );
  const reasons = carrying.flatMap(({ carries }) => carries ?? []);
  if (carrying.some(({ isDrift }) => isDrift)) return DRIFT_REASON;
  return REASONS.find((reason) => reasons.includes(reason)) ?? reasons[0] ?? DRIFT_REASON;
}

/** In this order, if several criteria carried a trigger without drift: the amount of data comes last. */
const REASONS = ["max_age", "waiting_cost", "buffer_growth", "buffer_full"];

function findNextLook(results: readonly CheckResult[], driftRunsDue: number | null): string | null {
  const ends = results.flatMap(({ nextLookAt }) =>
    nextLookAt === undefined ? [] : [Date.parse(nextLookAt)],
  );
  if (driftRunsDue !== null) ends.push(driftRunsDue);
  return ends.length === 0 ? null : new Date(Math.min(...ends)).toISOString();
}
