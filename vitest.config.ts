import { defineConfig } from "vitest/config";

const FAULTS = "test/faults/**/*.test.ts";
/** What a service logs within seconds would be another thing on a machine that is overloaded. */
const OUTAGES = ["test/faults/outage.test.ts", "test/faults/poison.test.ts"];

// Settings of the shell are not those of a test.
for (const name of Object.keys(process.env)) if (name.startsWith("RETRIGGER_")) delete process.env[name];

export default defineConfig({
  test: {
    globalSetup: "test/support/global-setup.ts",
    // Two cores and tests that often wait; each test file has a database and a queue prefix of its own.
    maxWorkers: 5,
    // Files share what they import; no test changes a module or the environment.
    isolate: false,
    testTimeout: 60_000,
    hookTimeout: 60_000,
    reporters: process.env["CI"]
      ? ["dot", "./test/support/closing-line.ts"]
      : ["default", "./test/support/closing-line.ts"],
    env: { NO_COLOR: "1" },
    // The fault suite keeps both cores busy, so it runs after the other tests.
    projects: [
      {
        extends: true,
        test: {
          name: "tests",
          include: ["test/**/*.test.ts"],
          exclude: [FAULTS],
          sequence: { groupOrder: 0 },
        },
      },
      {
        extends: true,
        test: {
          name: "faults",
          include: [FAULTS],
          exclude: OUTAGES,
          maxWorkers: 3,
          sequence: { groupOrder: 1 },
        },
      },
      {
        extends: true,
        test: { name: "outages", include: OUTAGES, maxWorkers: 2, sequence: { groupOrder: 2 } },
      },
    ],
  },
});
