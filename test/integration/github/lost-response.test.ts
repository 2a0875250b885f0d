import { afterEach, beforeEach, describe, expect, it } from "vitest";
import {
  closeGitHubWorld,
  createGitHubWorld,
  type GitHubWorld,
  listDispatches,
} from "../../support/github-world.ts";
import { retryStage } from "../../support/stages.ts";

let world: GitHubWorld;
beforeEach(async () => {
  world = await createGitHubWorld();
});
afterEach(() => closeGitHubWorld(world));

describe("a request to GitHub whose response is lost or ambiguous", () => {
  it.each(["accept and drop", "accept and 502", "double and drop"] as const)(
    "%s: finds the run by its name, and sends no second request",
    async (response) => {
      world.github.next = [response];
      await world.startApp();
      const { dispatch, runId } = await world.decide();
      expect(dispatch?.state).toBe("sent");
      expect(world.github.dispatches()).toHaveLength(1);
      expect(dispatch?.externalId).toBe(String(world.github.runsOf(runId)[0]?.id));
      const { state, extraRuns } = await world.waitForTraining(runId);
      expect({ state, extraRuns }).toEqual({
        state: "succeeded",
        extraRuns: world.github.runs.slice(1).map(({ id }) => String(id)),
      });
    },
  );

  it("reports that one request started two runs", async () => {
    world.github.next = ["double"];
    await world.startApp();
    const { runId } = await world.decide();
    const { extraRuns } = await world.waitForTraining(runId);
    expect(extraRuns).toEqual([String(world.github.runs[1]?.id)]);
    expect(await world.waitForNotifications("training_doubled")).toHaveLength(1);
  });

  it("follows the older of two runs if GitHub returned the newer one, and reports how the older one ended", async () => {
    world.github.next = ["double, naming the newer"];
    world.github.course = { queuedMs: 0, runningMs: 1_000, conclusion: "failure" };
    await world.startApp();
    const { runId } = await world.decide();
    const [older, newer] = world.github.runs.map(({ id }) => String(id));
    expect(await world.waitForTraining(runId)).toMatchObject({
      state: "failed",
      externalId: older,
      extraRuns: [newer],
    });
  });

  it("waits until a run that has already ended appears in the list, because an older run may still be training", async () => {
    world.github.next = ["double, naming the newer"];
    world.github.course = { queuedMs: 0, runningMs: 2_000, conclusion: "failure" };
    world.github.listLagMs = 1_000;
    await world.startApp();
    const { runId } = await world.decide();
    const [older] = world.github.runs.map(({ id }) => String(id));
    expect(await world.waitForTraining(runId)).toMatchObject({ state: "failed", externalId: older });
  });

  it(
    "is abandoned if GitHub accepts it and then hangs, and its run is found",
    { timeout: 60_000 },
    async () => {
      world.github.next = ["accept and hang"];
      await world.startApp();
      const started = world.decide(undefined, 50_000);
      expect((await started).dispatch?.state).toBe("sent");
      expect(world.github.dispatches()).toHaveLength(1);
    },
  );

  it("is left to an operator and announced if no run was started, even if the stage runs again", async () => {
    world.github.next = ["drop"];
    await world.startApp({ timing: { searchMs: 1_200 } });
    const { runId, report, dispatch } = await world.decide();
    expect(dispatch?.state).toBe("unknown");
    expect(report).toContain("FINAL STATUS: RETRAINING UNKNOWN - CHECK THE TRAINER");
    expect(report).toContain("npx retrigger dispatch confirm 1 <run>");
    expect(report).toContain("npx retrigger dispatch resend 1");
    const [text] = await world.waitForNotifications("dispatch_unknown");
    expect(text).toContain("npx retrigger dispatch resend 1");
    await retryStage(world, "act", runId);
    expect(world.github.dispatches()).toHaveLength(1);
    expect(await listDispatches(world)).toEqual([{ state: "unknown", external_id: null, asked: true }]);
    expect((await world.decide()).reason).toBe("already_acted_on,training_in_flight");
  });

  it("is still followed if its run appears after the search was abandoned", async () => {
    world.github.next = ["accept and drop"];
    world.github.listLagMs = 3_000;
    await world.startApp({ timing: { searchMs: 1_000 } });
    const { runId, dispatch } = await world.decide();
    expect(dispatch?.state).toBe("unknown");
    expect((await world.waitForTraining(runId)).state).toBe("succeeded");
  });
});
