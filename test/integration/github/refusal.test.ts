import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { PERMANENT_REFUSALS } from "../../github/refusals.ts";
import {
  closeGitHubWorld,
  createGitHubWorld,
  type GitHubWorld,
  listDispatches,
} from "../../support/github-world.ts";
import { retryStage } from "../../support/stages.ts";
import { until, withQueue } from "../../support/world.ts";

let world: GitHubWorld;
beforeEach(async () => {
  world = await createGitHubWorld();
});
afterEach(() => closeGitHubWorld(world));

function createGate(): { promise: Promise<void>; open: () => void } {
  let open = (): void => {};
  const promise = new Promise<void>((resolve) => (open = resolve));
  return { promise, open: () => open() };
}

describe("a request that GitHub refuses", () => {
  it.each(Object.keys(PERMANENT_REFUSALS) as (keyof typeof PERMANENT_REFUSALS)[])(
    "with %s is reported with GitHub's message and the remedy, and is sent again only by a manual retry",
    async (refusal) => {
      world.github.next = [refusal];
      await world.startApp();
      const { dispatch, report, runId } = await world.decide();
      const { status, message } = PERMANENT_REFUSALS[refusal];
      expect(dispatch).toMatchObject({ state: "rejected", externalId: null });
      expect(report).toContain(
        `GitHub returned ${status}: ${message.replace("token $TOKEN", "").split("$")[0]?.trim()}`,
      );
      expect(dispatch?.error?.split("\n").length).toBeGreaterThan(1);
      expect(report).toContain("FINAL STATUS: RETRAINING REJECTED");
      expect(report).toContain("npx retrigger dispatch retry 1");
      expect(world.github.dispatches()).toHaveLength(1);
      if (refusal === "422 inputs") expect(report).toContain("decision_id: { type: string }");

      await retryStage(world, "act", runId);
      expect(world.github.dispatches()).toHaveLength(2);
      expect(world.github.runsOf(runId)).toHaveLength(1);
      expect((await world.waitForTraining(runId)).state).toBe("succeeded");
    },
  );

  it("releases its alert, and cannot be retried once another training has acted on that alert", async () => {
    world.github.next = ["401"];
    await world.startApp();
    const first = await world.decide();
    const second = await world.decide();
    expect([first.dispatch?.state, second.dispatch?.state]).toEqual(["rejected", "sent"]);
    await retryStage(world, "act", first.runId);
    expect(world.github.runs).toHaveLength(1);
    expect((await listDispatches(world))[0]?.["state"]).toBe("rejected");
  });

  it("starts one training if two refused requests about one alert are both retried", async () => {
    world.github.next = ["422 disabled", "422 disabled"];
    await world.startApp();
    const [first, second] = [await world.decide(), await world.decide()];
    expect([first.dispatch?.state, second.dispatch?.state]).toEqual(["rejected", "rejected"]);
    await Promise.all([retryStage(world, "act", first.runId), retryStage(world, "act", second.runId)]);
    await until("one training is started", async () => world.github.runs.length > 0);
    await retryStage(world, "act", first.runId);
    await retryStage(world, "act", second.runId);
    await until("nothing is under way", async () => {
      const pending = await world.sql("SELECT FROM retraining_dispatches WHERE state = 'pending'");
      return (
        pending.length === 0 &&
        (await world.client.inbox.getJobCountByTypes("delayed", "waiting", "active")) === 0
      );
    });
    expect(world.github.runs).toHaveLength(1);
  });

  it("once retried, keeps a decision that was gathered before the retry from sending its own request", async () => {
    world.github.next = ["401"];
    const { promise: gate, open } = createGate();
    await world.startApp(
      {},
      {
        replaceProcessors: (processors) => ({
          ...processors,
          async act(job, evaluated, retry) {
            if (evaluated.evidence.lastDecisions.length === 1) await gate;
            return processors.act(job, evaluated, retry);
          },
        }),
      },
    );
    const refused = await world.decide();
    const { runId } = await world.startRun();
    await withQueue(world, "act", (queue) =>
      until(
        "the second decision's evidence is gathered",
        async () => (await queue.getJobState(runId)) === "active",
      ),
    );
    await retryStage(world, "act", refused.runId);
    open();
    await until(
      "the second request is cancelled",
      async () => (await listDispatches(world))[1]?.["state"] === "cancelled",
    );
    expect(world.github.runs).toHaveLength(1);
  });
});
