import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    globalSetup: "test/support/global-setup.ts",
    // Two cores and tests that mostly wait; each test file has a database and a queue prefix of its own.
    maxWorkers: 4,
    testTimeout: 30_000,
    hookTimeout: 60_000,
    reporters: process.env["CI"]
      ? ["dot", "./test/support/closing-line.ts"]
      : ["default", "./test/support/closing-line.ts"],
    env: { NO_COLOR: "1" },
  },
});
