import { expect } from "vitest";
import { Evidence, type WeighedCheck } from "../../../src/core/evidence.ts";
import type { Fault } from "../../../src/core/fields.ts";
import { judge, type Judgement } from "../../../src/core/judge.ts";
import { GUIDE_POLICY, needsOf, parsePolicy, type Policy } from "../../../src/core/policy.ts";
import { ms } from "./second-drift.ts";
import { decide } from "./second-evaluator.ts";

/** When the evidence of tables was taken, Unix milliseconds. */
export const TAKEN_AT = Date.parse("2026-07-15T12:00:00Z");

/** Parses a policy as a user writes it, which must be without a fault. */
export function policyFrom(value: unknown): Policy {
  const faults: Fault[] = [];
  const policy = parsePolicy(value, GUIDE_POLICY, ["policy"], faults);
  expect(faults).toEqual([]);
  return policy;
}

/** The faults of a policy as a user writes it: "path: message". */
export function listFaults(value: unknown): string[] {
  const faults: Fault[] = [];
  parsePolicy(value, GUIDE_POLICY, ["policy"], faults);
  return faults.map(({ path, message }) => `${path.join(".")}: ${message}`);
}

/** Evidence with the given checks, newest first, and changes to its parts. */
export function withChecks(
  checks: readonly (Partial<WeighedCheck> & { ago?: number })[],
  changes: {
    buffer?: object;
    trainings?: object;
    interventions?: object;
    inFlight?: object[];
    takenAt?: number;
  } = {},
): Evidence {
  const { buffer, takenAt = TAKEN_AT, ...others } = changes;
  const weighed = checks.map(({ ago = 0, ...check }, index) => ({
    id: String(index),
    at: new Date(takenAt - ago).toISOString(),
    feature: null,
    score: null,
    threshold: null,
    triggered: false,
    ...check,
  }));
  const listed = weighed.map(({ at, ...check }) => ({ ...check, checkedAt: at, notes: null }));
  const alerts = listed.filter(({ triggered }) => triggered);
  return Evidence.parse({
    takenAt: new Date(takenAt).toISOString(),
    checks: { total: weighed.length, triggered: alerts.length, newest: listed, newestTriggered: alerts },
    hasQuietChecks: true,
    weighed,
    alerts: { ids: alerts.map(({ id }) => id), unanswered: alerts.length, answeredBy: [], failed: [] },
    inFlight: [],
    buffer: { size: 1, batchCount: 0, batches: [], ...buffer },
    ...others,
    lastDecisions: [],
  });
}

/** Judges evidence as gathered for a policy. The second evaluator must agree. */
export function judgeWith(policy: Policy, evidence: Evidence, now = Date.parse(evidence.takenAt)): Judgement {
  const { within } = needsOf(policy);
  const start = Date.parse(evidence.takenAt) - ms(within);
  const recent = (evidence.weighed ?? []).filter(({ at }) => Date.parse(at) > start);
  const alerts = recent.filter(({ triggered }) => triggered);
  const checks = { ...evidence.checks, total: recent.length, triggered: alerts.length };
  const gathered = { ...evidence, window: within, checks };
  const judgement = judge(gathered, policy, now);
  const { decision, failed, reason } = judgement;
  expect({ decision, failed, reason }).toEqual(decide(gathered, policy, now));
  return judgement;
}

/** Whether a criterion holds, by itself, on checks that were made so many milliseconds ago. */
export function holds(
  when: object,
  checks: readonly (Partial<WeighedCheck> & { ago?: number })[],
  changes: object = {},
): boolean {
  const policy = policyFrom({ when: [when, { any: [{ maxAge: "1m" }, { bufferSize: 1 }] }] });
  return judgeWith(policy, withChecks(checks, changes)).criteria[0]?.passed ?? false;
}
