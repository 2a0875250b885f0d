import { afterEach, beforeEach, describe, expect, it } from "vitest";
import {
  closeGitHubWorld,
  createGitHubWorld,
  type GitHubWorld,
  listDispatches,
  retryStage,
} from "../../support/github-world.ts";

let world: GitHubWorld;
beforeEach(async () => {
  world = await createGitHubWorld();
});
afterEach(() => closeGitHubWorld(world));

describe("a GitHub that is asked for real", () => {
  it.each(["accept and drop", "accept and 502", "double and drop"] as const)(
    "%s: the run is found by its name, and not asked for again",
    async (answer) => {
      world.github.next = [answer];
      await world.startApp();
      const { dispatch, runId } = await world.decide();
      expect(dispatch?.state).toBe("sent");
      expect(world.github.dispatches()).toHaveLength(1);
      expect(dispatch?.externalId).toBe(String(world.github.runsOf(runId)[0]?.id));
      const { state, extraRuns } = await world.followed(runId);
      expect({ state, extraRuns }).toEqual({
        state: "succeeded",
        extraRuns: world.github.runs.slice(1).map(({ id }) => String(id)),
      });
    },
  );

  it("is told of by two runs for one request", async () => {
    world.github.next = ["double"];
    await world.startApp();
    const { runId } = await world.decide();
    const { extraRuns } = await world.followed(runId);
    expect(extraRuns).toEqual([String(world.github.runs[1]?.id)]);
    expect(await world.notified("training_doubled")).toHaveLength(1);
  });

  it("names the newer of two runs: the older one is the training, whose end is told", async () => {
    world.github.next = ["double, naming the newer"];
    world.github.course = { queuedMs: 0, runningMs: 1_000, conclusion: "failure" };
    await world.startApp();
    const { runId } = await world.decide();
    const [older, newer] = world.github.runs.map(({ id }) => String(id));
    expect(await world.followed(runId)).toMatchObject({
      state: "failed",
      externalId: older,
      extraRuns: [newer],
    });
  });

  it("shows a run that ended at once late in its list: it is waited for, as an older one may train", async () => {
    world.github.next = ["double, naming the newer"];
    world.github.course = { queuedMs: 0, runningMs: 2_000, conclusion: "failure" };
    world.github.listLagMs = 1_000;
    await world.startApp();
    const { runId } = await world.decide();
    const [older] = world.github.runs.map(({ id }) => String(id));
    expect(await world.followed(runId)).toMatchObject({ state: "failed", externalId: older });
  });

  it("hangs after it accepted: the request is given up, and the run found", { timeout: 60_000 }, async () => {
    world.github.next = ["accept and hang"];
    await world.startApp();
    const started = world.decide(undefined, 50_000);
    expect((await started).dispatch?.state).toBe("sent");
    expect(world.github.dispatches()).toHaveLength(1);
  });

  it("lost the request: left to a person, also when the stage is run again, and loudly", async () => {
    world.github.next = ["drop"];
    await world.startApp({ patience: { searchMs: 1_200 } });
    const { runId, report, dispatch } = await world.decide();
    expect(dispatch?.state).toBe("unknown");
    expect(report).toContain("FINAL STATUS: RETRAINING UNKNOWN - LOOK AT THE TRAINER");
    expect(report).toContain("npx retrigger dispatch confirm 1 <run>");
    expect(report).toContain("npx retrigger dispatch resend 1");
    const [told] = await world.notified("dispatch_unknown");
    expect(told).toContain("npx retrigger dispatch resend 1");
    await retryStage(world, "act", runId);
    expect(world.github.dispatches()).toHaveLength(1);
    expect(await listDispatches(world)).toEqual([{ state: "unknown", external_id: null, asked: true }]);
    expect((await world.decide()).reason).toBe("already_acted_on,training_in_flight");
  });

  it("shows the run after the search was given up: it is followed all the same", async () => {
    world.github.next = ["accept and drop"];
    world.github.listLagMs = 3_000;
    await world.startApp({ patience: { searchMs: 1_000 } });
    const { runId, dispatch } = await world.decide();
    expect(dispatch?.state).toBe("unknown");
    expect((await world.followed(runId)).state).toBe("succeeded");
  });
});
