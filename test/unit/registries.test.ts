import { describe, expect, it } from "vitest";
import { SERVICE_SETTINGS } from "../../src/config/service-settings.ts";
import { ALL_SETTINGS } from "../../src/config/settings.ts";
import type { CheckDefinition, CheckReport, CheckResult } from "../../src/core/check.ts";
import { listCriteria } from "../../src/core/condition.ts";
import { evaluate } from "../../src/core/evaluate.ts";
import type { Evidence } from "../../src/core/evidence.ts";
import { GUARDS } from "../../src/core/guards/registry.ts";
import { CHECKS, type Policy, POLICY_SETTINGS, settingsOf, VARIABLE_OF } from "../../src/core/policy.ts";
import type { Setting, Settings } from "../../src/core/setting.ts";
import { TRAINERS } from "../../src/trainers/registry.ts";
import { evidenceOf, GUIDE_POLICY, guideEvidence } from "../support/evidence.ts";

const isUnique = (names: readonly string[]): boolean => new Set(names).size === names.length;

/** Evidence to which checks object. */
const OBJECTIONABLE: { evidence: Evidence; policy: Policy }[] = [
  { evidence: evidenceOf({ checks: 0, triggered: 0, ratings: 0 }), policy: GUIDE_POLICY },
  { evidence: evidenceOf({ checks: 3, triggered: 1, unanswered: 0, ratings: 0 }), policy: GUIDE_POLICY },
  {
    evidence: withFailure(guideEvidence()),
    policy: GUIDE_POLICY,
  },
];

function withFailure(evidence: Evidence): Evidence {
  const training = { decisionId: 4, conclusion: "failure" } as const;
  return {
    ...evidence,
    alerts: {
      ...evidence.alerts,
      failed: [{ ...training, endedAt: evidence.takenAt, failures: 1, alerts: 1 }],
    },
    inFlight: [
      { ...training, trainer: "github", state: "sent", since: evidence.takenAt, until: null, url: null },
    ],
  };
}

/** A check that failed, with its settings. */
interface Objection {
  check: CheckDefinition & CheckReport<never>;
  result: CheckResult;
  settings: unknown;
  evidence: Evidence;
}

function listObjections({ evidence, policy }: { evidence: Evidence; policy: Policy }): Objection[] {
  const verdict = evaluate(evidence, policy);
  const criteria = listCriteria(policy.when).flatMap(({ criterion, settings }, index) => {
    const result = verdict.criteria[index];
    return result === undefined || result.passed ? [] : [{ check: criterion, result, settings, evidence }];
  });
  const guards = verdict.guards.flatMap((result) => {
    const guard = GUARDS.find(({ id }) => id === result.id);
    if (guard === undefined || result.passed) return [];
    return [{ check: guard, result, settings: settingsOf(policy, guard), evidence }];
  });
  return [...criteria, ...guards];
}

describe("the registry of checks", () => {
  it("gives every check its own id and reason code", () => {
    expect(isUnique(CHECKS.map(({ id }) => id))).toBe(true);
    expect(isUnique(CHECKS.map(({ reason }) => reason))).toBe(true);
  });

  it("lets every check report and explain each of its objections", () => {
    const objections = OBJECTIONABLE.flatMap(listObjections);
    // Those of the guide's three criteria and of the three guards beside them.
    expect(new Set(objections.map(({ check }) => check.id)).size).toBeGreaterThanOrEqual(6);
    for (const { check, result, settings, evidence } of objections) {
      const failure = { result, evidence, settings, now: Date.parse(evidence.takenAt) } as never;
      expect(check.explain(failure).join("")).not.toBe("");
      expect(check.advise(failure, check.key)).not.toContain("");
    }
  });
});

describe("the registry of settings", () => {
  it("defines each variable once", () => {
    const owners: Settings[] = [
      SERVICE_SETTINGS,
      POLICY_SETTINGS,
      ...TRAINERS.map(({ settings }) => settings),
    ];
    for (const { variable, schema, default: text } of owners.flatMap((owner) => Object.values(owner))) {
      const known = ALL_SETTINGS.find((setting) => setting.variable === variable) as Setting;
      expect([known.schema, known.default]).toEqual([schema, text]);
    }
  });

  it("has no default that its own schema refuses", () => {
    const refused = ALL_SETTINGS.filter(
      ({ schema, default: text }) => text !== undefined && !schema.safeParse(text).success,
    );
    expect(refused).toEqual([]);
  });

  it("gives every setting of the guide's policy to one of its checks", () => {
    const variables = Object.values(POLICY_SETTINGS).map(({ variable }) => variable);
    expect(Object.values(VARIABLE_OF).toSorted()).toEqual(variables.toSorted());
    const keys = CHECKS.map(({ key }) => key);
    expect(Object.keys(VARIABLE_OF).filter((key) => !keys.includes(key))).toEqual([]);
  });
});
