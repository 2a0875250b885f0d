import { cp, mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { bundle } from "../support/bundle.ts";
import type { Violation } from "./auditor.ts";
import type { Plan } from "./plans.ts";

/** A copy of the program with one guard removed, and a run that shows what the guard is for. */
export interface Mutant {
  guard: string;
  /** Each change must find its text; otherwise the copy would not be a mutant. */
  changes: { file: string; find: string; replace: string }[];
  plan: Plan;
  expected: Violation["kind"];
}

const PLAN: Plan = {
  fault: "none",
  github: "well",
  killAt: "",
  nth: 1,
  afterMs: 0,
  lastsMs: 0,
  events: 6,
  spacingMs: 0,
  readingMs: 200,
  hasGuard: false,
};

export const MUTANTS: Mutant[] = [
  {
    guard: "compare-and-set",
    changes: [
      {
        file: "src/postgres/decision-sql.ts",
        find: "WHERE NOT EXISTS (SELECT FROM retraining_decisions WHERE model = $2 AND id > $15::integer)",
        replace: "WHERE true",
      },
      {
        file: "src/postgres/migrations/001_decisions.sql",
        find: "CREATE UNIQUE INDEX retraining_decisions_chain",
        replace: "CREATE INDEX retraining_decisions_chain",
      },
    ],
    plan: { ...PLAN, fault: "no lock at all" },
    expected: "duplicate decision",
  },
  {
    guard: "dispatch row before the call",
    changes: [
      {
        file: "src/core/dispatch/plan.ts",
        find: 'dispatch.askedAt === null ? { kind: "request", waitMs: 0 } :',
        replace: 'dispatch.createdAt > 0 ? { kind: "request", waitMs: 0 } :',
      },
      {
        file: "workers/dispatch.ts",
        find: 'if (claim.outcome === "refused") return apply',
        replace: 'if (claim.outcome === "refused" && claim.record.dispatch.askedAt === null) return apply',
      },
    ],
    plan: { ...PLAN, fault: "worker killed at a point", killAt: "trainer.request:after", events: 1 },
    expected: "duplicate dispatch",
  },
  {
    guard: "no second request after a lost answer",
    changes: [
      {
        file: "src/trainers/github/failure.ts",
        find: 'outcome: isUnsent ? "not_sent" : "lost"',
        replace: 'outcome: isUnsent ? "not_sent" : "not_sent"',
      },
    ],
    plan: { ...PLAN, github: "accepts, then drops the connection", events: 1 },
    expected: "duplicate dispatch",
  },
  {
    guard: "follow-up",
    changes: [
      {
        file: "queues/chain.ts",
        find: "async requestFollowUp(model, runId, because) {",
        replace: 'async requestFollowUp(model, runId, because) {\n      if (model) return "waiting";',
      },
    ],
    plan: PLAN,
    expected: "lost event",
  },
  {
    guard: "the hash of what is recorded",
    changes: [
      {
        file: "src/postgres/decisions.ts",
        find: "digestCanonical(content),",
        replace: 'digestCanonical({ ...content, notes: "" }),',
      },
    ],
    plan: { ...PLAN, events: 1 },
    expected: "broken decision",
  },
];

/** A copy of the program with one guard removed, and a test that must fail. */
export interface TestedMutant extends Pick<Mutant, "guard" | "changes"> {
  test: string;
  name: string;
}

export const TESTED_MUTANTS: TestedMutant[] = [
  {
    guard: "one decision per run",
    changes: [
      {
        file: "src/postgres/migrations/001_decisions.sql",
        find: "ADD COLUMN run_id UUID UNIQUE",
        replace: "ADD COLUMN run_id UUID",
      },
    ],
    test: "test/integration/compare-and-set.test.ts",
    name: "records no second one",
  },
  {
    guard: "no overwriting of a changed row",
    changes: [
      {
        file: "src/postgres/dispatches.ts",
        find: "WHERE decision_id = $1 AND version = $2",
        replace: "WHERE decision_id = $1 AND version >= $2",
      },
    ],
    test: "test/integration/dispatch-version.test.ts",
    name: "keeps what the other one wrote",
  },
  {
    guard: "follow-up at the end of a training",
    changes: [
      {
        file: "src/core/dispatch/effects.ts",
        find: "if (latest?.isHeldByTraining) return true;",
        replace: "",
      },
    ],
    // In an integration test, the reconciler would make up for it some seconds later.
    test: "test/unit/dispatch/training.test.ts",
    name: "a success that a decision waited for",
  },
  {
    guard: "a decision is held back only by an open training",
    changes: [
      {
        file: "src/postgres/decision-sql.ts",
        find: "AND (SELECT count(*) FROM holding) = cardinality($24::integer[])",
        replace: "AND cardinality($24::integer[]) >= 0",
      },
    ],
    test: "test/integration/next-look.test.ts",
    name: "is not recorded if the training has ended since",
  },
  {
    guard: "the time of the next evaluation",
    changes: [
      {
        file: "src/core/judge.ts",
        find: "return ends.length === 0 ? null",
        replace: "return ends.length >= 0 ? null",
      },
    ],
    test: "test/integration/next-look.test.ts",
    name: "is re-evaluated at once, says when its alerts are released",
  },
  {
    guard: "the end of a guard of the policy",
    changes: [
      {
        file: "src/core/judge.ts",
        find: "[...failedCriteria, ...(isForced ? [] : results.filter(({ passed }) => !passed))],",
        replace: "[...failedCriteria],",
      },
    ],
    test: "test/integration/policies/guards.test.ts",
    name: "budget: there is room again",
  },
  {
    guard: "the second look after an approval",
    changes: [
      {
        file: "src/core/judge.ts",
        find: "if (failed.length > 0) {",
        replace: 'if (failed.length > 0 && evidence.interventions.approval?.state !== "approved") {',
      },
    ],
    test: "test/integration/policies/approval.test.ts",
    name: "whose alerts were deleted does not go out",
  },
  {
    guard: "a manual retry is recognised",
    changes: [
      {
        file: "queues/chain.ts",
        find: 'return next !== "waiting-children" && next !== "unknown";',
        replace: "return next.length > 0;",
      },
    ],
    test: "test/integration/orphaned-dispatch.test.ts",
    name: "does not send a refused request again",
  },
];

/** Copies the program below itself, where it finds the same packages, and removes the guard. Returns the directory. */
export async function buildMutant({ guard, changes }: Pick<Mutant, "guard" | "changes">): Promise<string> {
  const root = join(process.cwd(), ".data", "mutants", `${process.pid}-${guard.replaceAll(" ", "-")}`);
  await rm(root, { recursive: true, force: true });
  await mkdir(root, { recursive: true });
  for (const part of [
    "src",
    "workers",
    "queues",
    "test",
    "package.json",
    "tsconfig.json",
    "vitest.config.ts",
  ])
    await cp(part, join(root, part), { recursive: true });
  for (const { file, find, replace } of changes) {
    const path = join(root, file);
    const text = await readFile(path, "utf8");
    if (!text.includes(find))
      throw new Error(`${dirname(file)}: the text of the guard "${guard}" was not found: ${find}`);
    await writeFile(path, text.replace(find, replace));
  }
  await bundle(root);
  return root;
}

export async function removeMutant(root: string): Promise<void> {
  await rm(root, { recursive: true, force: true });
}
