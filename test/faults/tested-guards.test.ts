import { execFile } from "node:child_process";
import { join } from "node:path";
import { describe, expect, inject, it } from "vitest";
import { dueToday } from "../support/today.ts";
import { buildMutant, removeMutant, TESTED_MUTANTS } from "./mutants.ts";

// Building and testing a copy of the program takes long.
const TODAY = dueToday(TESTED_MUTANTS, 4);

describe("a test fails without the guard", () => {
  it.each(TODAY)("$guard", { timeout: 180_000 }, async (mutant) => {
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
