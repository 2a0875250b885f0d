import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { advance } from "../../src/core/dispatch/advance.ts";
import { createDatabase } from "../../src/postgres/database.ts";
import { clockOf, type DispatchRecord } from "../../src/postgres/dispatches.ts";
import { createLogger } from "../../src/process/logger.ts";
import { closeGitHubWorld, createGitHubWorld, type GitHubWorld } from "../support/github-world.ts";

let world: GitHubWorld;
beforeEach(async () => {
  world = await createGitHubWorld();
});
afterEach(() => closeGitHubWorld(world));

const LIMITS = { searchMs: 1_000, pollMs: 1_000, lostAfterMs: 1_000 };
const TRAINER = { followsById: true, reportsOutcomes: false, runsHere: false };

describe("a process that read a dispatch before another process updated it", () => {
  it("keeps what the other one wrote, and reduces again from there", async () => {
    world.github.course = { queuedMs: 0, runningMs: 600_000, conclusion: "success" };
    await world.startApp({ timing: { pollMs: 600_000 } });
    const { runId } = await world.decide();
    await world.stopApps();
    const database = createDatabase(world.config, createLogger("silent"));
    try {
      const stale = (await database.readDispatch(runId)) as DispatchRecord;
      const status = {
        status: "completed",
        conclusion: "success",
        attempt: 1,
        url: null,
        durationSeconds: 1,
      };
      const run = { externalId: stale.dispatch.externalId ?? "", url: null, statusUrl: null };
      const reduce = (record: DispatchRecord, input: Parameters<typeof advance>[1]) =>
        advance(record.dispatch, input, { now: clockOf(record), limits: LIMITS, trainer: TRAINER });
      await database.updateDispatch(stale, (record) =>
        reduce(record, { kind: "seen", runs: [run], ...status }),
      );
      let reductions = 0;
      const { record } = await database.updateDispatch(stale, (current) => {
        reductions += 1;
        return reduce(current, { kind: "reported", ...status, status: "in_progress", conclusion: null });
      });
      expect({ reductions, state: record.dispatch.state }).toEqual({ reductions: 2, state: "succeeded" });
      expect((await database.readDispatch(runId))?.dispatch.state).toBe("succeeded");
    } finally {
      await database.close();
    }
  });
});
