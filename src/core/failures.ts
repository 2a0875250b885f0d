import type { CheckDefinition, CheckReport, CheckResult, Failure } from "./check.ts";
import { listCriteria } from "./condition.ts";
import { CRITERIA } from "./criteria/registry.ts";
import type { Evidence } from "./evidence.ts";
import { GUARDS } from "./guards/registry.ts";
import { type Policy, settingsOf } from "./policy.ts";

/** What was judged, and the result of each check. */
export interface Judged {
  evidence: Evidence;
  policy: Policy;
  verdict: { criteria: readonly CheckResult[]; guards: readonly CheckResult[]; failed: readonly string[] };
}

type Reported = CheckDefinition & CheckReport<never>;

/** A criterion's result with its settings, in the order of the condition. */
export interface MatchedCriterion {
  check: Reported;
  result: CheckResult;
  settings: unknown;
}

export function matchCriteria({ verdict, policy }: Pick<Judged, "verdict" | "policy">): MatchedCriterion[] {
  const placed = listCriteria(policy.when);
  return verdict.criteria.flatMap((result, index): MatchedCriterion[] => {
    // A verdict of another version may list other criteria.
    const own = placed[index]?.criterion.id === result.id ? placed[index] : undefined;
    const check = own?.criterion ?? CRITERIA.find(({ id }) => id === result.id);
    return check ? [{ check, result, settings: own?.settings ?? {} }] : [];
  });
}

export interface ReportedFailure {
  check: Reported;
  failure: Failure<unknown>;
}

/** The failed criteria, then the guards that object. */
export function listFailures(input: Judged, decisionId: number | null = null): ReportedFailure[] {
  const { verdict, evidence, policy } = input;
  const shared = { evidence, now: Date.parse(evidence.takenAt), decisionId };
  const isFailed = (check: Reported): boolean => verdict.failed.some((code) => code === check.reason);
  const criteria = matchCriteria(input)
    .filter(({ check, result }) => !result.passed && isFailed(check))
    .map(({ check, result, settings }) => ({ check, failure: { ...shared, result, settings } }));
  const guards = verdict.guards.flatMap((result) => {
    const guard = GUARDS.find(({ id }) => id === result.id);
    if (!guard || result.passed || !isFailed(guard)) return [];
    return [{ check: guard, failure: { ...shared, result, settings: settingsOf(policy, guard) ?? {} } }];
  });
  return [...criteria, ...guards];
}
