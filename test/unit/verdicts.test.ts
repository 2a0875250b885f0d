import { createHash } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { canonicalJson } from "../../src/core/canonical-json.ts";
import { evaluate } from "../../src/core/evaluate.ts";
import { EVALUATOR_VERSION } from "../../src/core/evaluator-version.ts";
import { Evidence } from "../../src/core/evidence.ts";
import { CHECKS, Policy } from "../../src/core/policy.ts";
import { toRecordedPolicy } from "../../src/core/recorded-policy.ts";
import { isSameJson } from "../../src/core/same-json.ts";
import { cases } from "./policy/arbitraries.ts";

/** What a version of the evaluator made of evidence and a policy. */
interface Fixture {
  evidence: unknown;
  policy: unknown;
  evaluator: number;
  decision: string;
  reason: string;
  failed: string[];
  /** SHA-256 of the whole verdict in canonical JSON, without the version. */
  sha256: string;
}

const PATH = fileURLToPath(new URL("../fixtures/verdicts.json", import.meta.url));

/**
 * Adds fixtures of this version with `PIN_VERDICTS=1`, and keeps those of older ones: their rows must be verified for as long as
 * there are any.
 */
function pin(kept: readonly Fixture[]): void {
  const older = kept.filter(({ evaluator }) => evaluator < EVALUATOR_VERSION);
  const length = (value: unknown): number => JSON.stringify(value).length;
  const random = fc
    .sample(cases, { numRuns: 3_000, seed: EVALUATOR_VERSION })
    .map(({ policy, evidence }, index) => ({
      policy,
      evidence: index % 4 === 0 ? withSnooze(evidence) : evidence,
    }));
  const smallestFirst = random.toSorted((a, b) => length(a) - length(b));
  const needed = new Set<string>();
  const fixtures = smallestFirst.flatMap(({ evidence, policy }): Fixture[] => {
    const { decision, reason, failed, sha256, checks } = judge(evidence, policy);
    // Each check passes and fails at least once, and each code occurs.
    const news = [...checks, ...reason.split(",")].filter((each) => !needed.has(each));
    for (const each of news) needed.add(each);
    if (news.length === 0) return [];
    const recorded = toRecordedPolicy(policy);
    return [{ evidence, policy: recorded, evaluator: EVALUATOR_VERSION, decision, reason, failed, sha256 }];
  });
  writeFileSync(PATH, `[\n${[...older, ...fixtures].map((each) => JSON.stringify(each)).join(",\n")}\n]\n`);
}

function withSnooze(evidence: Evidence): Evidence {
  const until = new Date(Date.parse(evidence.takenAt) + 3_600_000).toISOString();
  const snooze = { until, reason: "a release", by: "operator" };
  return { ...evidence, interventions: { ...evidence.interventions, snooze } };
}

function judge(evidence: Evidence, policy: Policy) {
  const { evaluator: _, ...verdict } = evaluate(evidence, policy);
  const { decision, reason, failed, criteria, guards } = verdict;
  const sha256 = createHash("sha256").update(canonicalJson(verdict)).digest("hex");
  const checks = [...criteria, ...guards].map(({ id, passed }) => `${id} ${passed}`);
  return { decision, reason, failed, sha256, checks };
}

const read = (): Fixture[] => JSON.parse(readFileSync(PATH, "utf8")) as Fixture[];
if (process.env["PIN_VERDICTS"] === "1") pin(read());

describe("the verdicts that recorded decisions have", () => {
  it.each([...new Map(read().map((each) => [each.evaluator, each.evaluator])).keys()])(
    "are still those of version %i",
    (version) => {
      for (const { evidence, policy, evaluator, sha256, ...outcome } of read()) {
        if (evaluator !== version) continue;
        const found = judge(Evidence.parse(evidence), Policy.parse(policy));
        const what = `${outcome.reason}: raise EVALUATOR_VERSION, then run PIN_VERDICTS=1 npx vitest run test/unit/verdicts.test.ts`;
        expect({ decision: found.decision, reason: found.reason, failed: found.failed }, what).toEqual(
          outcome,
        );
        // An explanation is the same only within its version.
        if (version === EVALUATOR_VERSION) expect(found.sha256, what).toBe(sha256);
      }
    },
  );

  it("are pinned for this version, with every check passed and failed", () => {
    const own = read().filter(({ evaluator }) => evaluator === EVALUATOR_VERSION);
    const seen = new Set(
      own.flatMap((each) => judge(Evidence.parse(each.evidence), Policy.parse(each.policy)).checks),
    );
    const missing = CHECKS.flatMap(({ id }) => [`${id} true`, `${id} false`]).filter(
      (each) => !seen.has(each),
    );
    expect(missing).toEqual([]);
  });

  it("do not depend on the order of keys, which JSONB does not keep", () => {
    fc.assert(
      fc.property(cases, ({ evidence, policy }) => {
        const shuffled = Policy.parse(reorder(JSON.parse(JSON.stringify(toRecordedPolicy(policy)))));
        const again = evaluate(Evidence.parse(reorder(JSON.parse(JSON.stringify(evidence)))), shuffled);
        expect(isSameJson(again, evaluate(evidence, policy))).toBe(true);
      }),
      { numRuns: 150 },
    );
  });
});

/** The value as JSONB returns it: shorter keys first. */
function reorder(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(reorder);
  if (typeof value !== "object" || value === null) return value;
  const entries = Object.entries(value).toSorted(([a], [b]) => a.length - b.length || (a < b ? -1 : 1));
  return Object.fromEntries(entries.map(([key, own]) => [key, reorder(own)]));
}
