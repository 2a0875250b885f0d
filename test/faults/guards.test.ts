import { execFile } from "node:child_process";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, inject, it } from "vitest";
import { type Lane, openLane } from "./lane.ts";
import { buildMutant, MUTANTS, removeMutant, TESTED_MUTANTS } from "./mutants.ts";
import { makeRun } from "./runs.ts";

const REST_LIMIT_MS = 20_000;

describe("the fault suite fails without the guard", () => {
  let unchanged: Lane;
  beforeAll(async () => {
    unchanged = await openLane();
  }, 60_000);
  afterAll(() => unchanged.close());

  it.each(MUTANTS)("$guard", { timeout: 180_000 }, async (mutant) => {
    const root = await buildMutant(mutant);
    const lane = await openLane(root);
    try {
      const [withGuard, withoutGuard] = await Promise.all([
        makeRun(unchanged, mutant.plan, { restMs: REST_LIMIT_MS }),
        makeRun(lane, mutant.plan, { restMs: REST_LIMIT_MS }),
      ]);
      expect(withGuard.violations).toEqual([]);
      expect(withGuard.hasStruck).toBe(true);
      expect(withoutGuard.violations.map(({ kind }) => kind)).toContain(mutant.expected);
    } finally {
      await lane.close();
      await removeMutant(root);
    }
  });
});

describe("a test fails without the guard", () => {
  it.each(TESTED_MUTANTS)("$guard", { timeout: 180_000 }, async (mutant) => {
    const root = await buildMutant(mutant);
    try {
      const output = await runTest(root, mutant.test, mutant.name);
      expect(output).toMatch(/^0 passed, [1-9]\d* failed/m);
    } finally {
      await removeMutant(root);
    }
  });
});

/** Runs one test of a copy of the program on the servers of this test run, and returns its output. */
function runTest(root: string, file: string, name: string): Promise<string> {
  const vitest = join(process.cwd(), "node_modules/vitest/vitest.mjs");
  return new Promise((resolve) => {
    execFile(
      process.execPath,
      [vitest, "run", file, "-t", name],
      {
        cwd: root,
        env: {
          PATH: process.env["PATH"],
          HOME: process.env["HOME"],
          TEST_DATABASE_URL: inject("databaseUrl"),
          TEST_REDIS_URL: inject("redisUrl"),
          TEST_BUNDLES: "off",
        },
      },
      (_, stdout, stderr) => resolve(stdout + stderr),
    );
  });
}
