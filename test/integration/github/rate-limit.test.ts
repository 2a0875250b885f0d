import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { RATE_LIMITS } from "../../github/refusals.ts";
import {
  closeGitHubWorld,
  createGitHubWorld,
  type GitHubWorld,
  listDispatches,
} from "../../support/github-world.ts";
import { until, withQueue } from "../../support/world.ts";

let world: GitHubWorld;
beforeEach(async () => {
  world = await createGitHubWorld();
});
afterEach(() => closeGitHubWorld(world));

describe("a GitHub that is rate-limited or unreachable", () => {
  it.each(
    Object.keys(RATE_LIMITS).filter((name) => name !== "403 without headers") as (keyof typeof RATE_LIMITS)[],
  )("limits by %s: the request is sent again after the time that GitHub gives", async (limit) => {
    world.github.next = [limit, limit];
    await world.startApp();
    const started = Date.now();
    expect((await world.decide()).dispatch?.state).toBe("sent");
    expect(Date.now() - started).toBeGreaterThan(1_900);
    expect(world.github.dispatches()).toHaveLength(3);
    expect(world.github.runs).toHaveLength(1);
  });

  it("limits without giving a time: the request waits a minute and keeps no worker busy", async () => {
    world.github.next = ["403 without headers"];
    await world.startApp();
    const { runId } = await world.startRun();
    await withQueue(world, "act", async (queue) => {
      await until("act is delayed", async () => (await queue.getJobState(runId)) === "delayed");
      // Less what passed since it was decided.
      expect((await queue.getJob(runId))?.delay).toBeGreaterThan(59_000);
      expect(await queue.getActiveCount()).toBe(0);
    });
    expect(world.github.dispatches()).toHaveLength(1);
    expect(await listDispatches(world)).toEqual([{ state: "pending", external_id: null, asked: false }]);
  });

  it("is unreachable: the request is retried until it arrives, and is sent once", async () => {
    const { url } = world.github;
    await world.github.close();
    await world.startApp();
    const deciding = world.decide();
    await until("the first attempt failed", async () => {
      const [row] = await world.sql("SELECT error FROM retraining_dispatches WHERE error IS NOT NULL");
      return String(row?.["error"] ?? "").includes("ECONNREFUSED");
    });
    await world.restartGitHub(url);
    expect((await deciding).dispatch?.state).toBe("sent");
    expect(world.github.runs).toHaveLength(1);
  });
});
