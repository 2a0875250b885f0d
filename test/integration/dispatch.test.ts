import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Config } from "../../src/config/config.ts";
import { PERMANENT_REFUSALS, RATE_LIMITS } from "../github/refusals.ts";
import { closeGitHubWorld, createGitHubWorld, type GitHubWorld } from "../support/github-world.ts";
import { addCheck, until, withQueue } from "../support/world.ts";

let world: GitHubWorld;
beforeEach(async () => {
  world = await createGitHubWorld();
});
afterEach(() => closeGitHubWorld(world));

const listDispatches = () =>
  world.sql(
    "SELECT state, external_id, asked_at IS NOT NULL AS asked FROM retraining_dispatches ORDER BY id",
  );

/** Runs a stage of a run that came to its end once more, as Bull Board's Retry does. */
function retryStage(stage: string, runId: string): Promise<void> {
  return withQueue(world, stage, async (queue) => {
    const job = await queue.getJob(runId);
    const before = job?.attemptsStarted ?? 0;
    await job?.retry((await job.getState()) as "completed" | "failed");
    await until("it ran again", async () => ((await queue.getJob(runId))?.attemptsStarted ?? 0) > before);
    await until("it ended", async () => (await queue.getJobState(runId)) === "completed");
  });
}

function createGate(): { promise: Promise<void>; open: () => void } {
  let open = (): void => {};
  const promise = new Promise<void>((resolve) => (open = resolve));
  return { promise, open: () => open() };
}

describe("a GitHub that is asked for real", () => {
  it("gets the very request that the mock shows, once, and its run is followed to its end", async () => {
    world.github.course = { queuedMs: 100, runningMs: 4_000, conclusion: "success" };
    const shown = (await world.dryRun({ trainer: { name: "mock" } })).dispatch?.request;
    await world.startApp();
    const { runId, decision, dispatch, report } = await world.decide();
    expect(decision).toBe("trigger");
    const [run] = world.github.runs;
    expect(dispatch).toMatchObject({ trainer: "github", state: "sent", externalId: String(run?.id) });
    expect(report).toContain(`Training asked for (sent): ${run?.id} https://github.com/`);
    expect(report).toContain("FINAL STATUS: RETRAINING TRIGGERED");

    const [asked, ...more] = world.github.dispatches();
    expect(more).toEqual([]);
    if (!shown || !("url" in shown)) throw new Error("the mock shows no request");
    const { Authorization: _, ...headers } = shown.headers;
    expect(`${world.github.url}${asked?.url}`).toBe(shown.url);
    expect(asked?.body).toEqual({
      ...shown.body,
      inputs: { ...(shown.body["inputs"] as object), decision_id: runId },
    });
    for (const [name, value] of Object.entries(headers))
      expect(asked?.headers[name.toLowerCase()]).toBe(value);

    expect((await world.decide()).reason).toBe("already_acted_on,training_in_flight");
    const training = await world.followed(runId);
    expect(training).toMatchObject({ state: "succeeded", conclusion: "success", attempt: 1, extraRuns: [] });
    // A decision came while it ran; a follow-up re-evaluates after it, and the alert is answered.
    await until("a follow-up looked", async () => (await world.decisions()).length === 3);
    expect((await world.decisions()).at(-1)).toMatchObject({ reason: "already_acted_on", cause: "followup" });
    expect(world.github.faults.join("\n")).toBe("");
  });

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

  it("answers 204, and the run is found in the list, however late", async () => {
    world.github.next = ["204"];
    world.github.listLagMs = 1_500;
    await world.startApp();
    const { dispatch, runId, report } = await world.decide();
    expect(dispatch).toMatchObject({ state: "sent", externalId: null });
    expect(report).toContain("Training asked for (sent)");
    expect(await world.followed(runId)).toMatchObject({
      state: "succeeded",
      externalId: String(world.github.runs[0]?.id),
    });
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
    await world.startApp({ timing: { searchMs: 1_200 } });
    const { runId, report, dispatch } = await world.decide();
    expect(dispatch?.state).toBe("unknown");
    expect(report).toContain("FINAL STATUS: RETRAINING UNKNOWN - LOOK AT THE TRAINER");
    expect(report).toContain("npx retrigger dispatch confirm 1 <run>");
    expect(report).toContain("npx retrigger dispatch resend 1");
    const [told] = await world.notified("dispatch_unknown");
    expect(told).toContain("npx retrigger dispatch resend 1");
    await retryStage("act", runId);
    expect(world.github.dispatches()).toHaveLength(1);
    expect(await listDispatches()).toEqual([{ state: "unknown", external_id: null, asked: true }]);
    expect((await world.decide()).reason).toBe("already_acted_on,training_in_flight");
  });

  it("shows the run after the search was given up: it is followed all the same", async () => {
    world.github.next = ["accept and drop"];
    world.github.listLagMs = 3_000;
    await world.startApp({ timing: { searchMs: 1_000 } });
    const { runId, dispatch } = await world.decide();
    expect(dispatch?.state).toBe("unknown");
    expect((await world.followed(runId)).state).toBe("succeeded");
  });

  it.each(Object.keys(PERMANENT_REFUSALS) as (keyof typeof PERMANENT_REFUSALS)[])(
    "refuses with %s: said with GitHub's words and the remedy, not asked again, until a person lets it",
    async (refusal) => {
      world.github.next = [refusal];
      await world.startApp();
      const { dispatch, report, runId } = await world.decide();
      const { status, message } = PERMANENT_REFUSALS[refusal];
      expect(dispatch).toMatchObject({ state: "rejected", externalId: null });
      expect(report).toContain(
        `GitHub answered ${status}: ${message.replace("token $TOKEN", "").split("$")[0]?.trim()}`,
      );
      expect(dispatch?.error?.split("\n").length).toBeGreaterThan(1);
      expect(report).toContain("FINAL STATUS: RETRAINING REJECTED");
      expect(report).toContain("npx retrigger dispatch retry 1");
      expect(world.github.dispatches()).toHaveLength(1);
      if (refusal === "422 inputs") expect(report).toContain("decision_id: { type: string }");

      await retryStage("act", runId);
      expect(world.github.dispatches()).toHaveLength(2);
      expect(world.github.runsOf(runId)).toHaveLength(1);
      expect((await world.followed(runId)).state).toBe("succeeded");
    },
  );

  it("refused: the alert is free, and a training that answered it keeps the refused one from being retried", async () => {
    world.github.next = ["401"];
    await world.startApp();
    const first = await world.decide();
    const second = await world.decide();
    expect([first.dispatch?.state, second.dispatch?.state]).toEqual(["rejected", "sent"]);
    await retryStage("act", first.runId);
    expect(world.github.runs).toHaveLength(1);
    expect((await listDispatches())[0]?.["state"]).toBe("rejected");
  });

  it("refused two decisions about one alert: a person who retries both gets one training", async () => {
    world.github.next = ["422 disabled", "422 disabled"];
    await world.startApp();
    const [first, second] = [await world.decide(), await world.decide()];
    expect([first.dispatch?.state, second.dispatch?.state]).toEqual(["rejected", "rejected"]);
    await Promise.all([retryStage("act", first.runId), retryStage("act", second.runId)]);
    await until("one is asked for", async () => world.github.runs.length > 0);
    await retryStage("act", first.runId);
    await retryStage("act", second.runId);
    await until("nothing is on its way", async () => {
      const pending = await world.sql("SELECT FROM retraining_dispatches WHERE state = 'pending'");
      return (
        pending.length === 0 &&
        (await world.client.inbox.getJobCountByTypes("delayed", "waiting", "active")) === 0
      );
    });
    expect(world.github.runs).toHaveLength(1);
  });

  it("is not asked by a decision that was gathered before a refused one was retried", async () => {
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
    const { runId } = await world.startDeciding();
    await withQueue(world, "act", (queue) =>
      until("the second one is gathered", async () => (await queue.getJobState(runId)) === "active"),
    );
    await retryStage("act", refused.runId);
    open();
    await until(
      "the second one is not asked for",
      async () => (await listDispatches())[1]?.["state"] === "cancelled",
    );
    expect(world.github.runs).toHaveLength(1);
  });

  it.each(
    Object.keys(RATE_LIMITS).filter((name) => name !== "403 without headers") as (keyof typeof RATE_LIMITS)[],
  )("limits by %s: asked again when it may be", async (limit) => {
    world.github.next = [limit, limit];
    await world.startApp();
    const started = Date.now();
    expect((await world.decide()).dispatch?.state).toBe("sent");
    expect(Date.now() - started).toBeGreaterThan(1_900);
    expect(world.github.dispatches()).toHaveLength(3);
    expect(world.github.runs).toHaveLength(1);
  });

  it("limits without saying for how long: left alone for a minute, and no worker waits for it", async () => {
    world.github.next = ["403 without headers"];
    await world.startApp();
    const { runId } = await world.startDeciding();
    await withQueue(world, "act", async (queue) => {
      const job = await until("act waits", async () => {
        const found = await queue.getJob(runId);
        return (await found?.getState()) === "delayed" ? found : null;
      });
      expect(job.delay).toBeGreaterThanOrEqual(60_000);
      expect(await queue.getActiveCount()).toBe(0);
    });
    expect(world.github.dispatches()).toHaveLength(1);
    expect(await listDispatches()).toEqual([{ state: "pending", external_id: null, asked: false }]);
  });

  it("is not there: asked again until it is, once", async () => {
    const { url } = world.github;
    await world.github.close();
    await world.startApp();
    const deciding = world.decide();
    await until("the first try failed", async () => {
      const [row] = await world.sql("SELECT error FROM retraining_dispatches WHERE error IS NOT NULL");
      return String(row?.["error"] ?? "").includes("ECONNREFUSED");
    });
    await world.restartGitHub(url);
    expect((await deciding).dispatch?.state).toBe("sent");
    expect(world.github.runs).toHaveLength(1);
  });

  it("is of an older make: told by a setting, and answered with 204", async () => {
    world.github.isOldServer = true;
    await world.startApp();
    const refused = await world.decide();
    expect(refused.dispatch).toMatchObject({ state: "rejected" });
    expect(refused.report).toContain("GITHUB_API_VERSION");
    await closeGitHubWorld(world);
    world = await createGitHubWorld({ GITHUB_API_VERSION: "2022-11-28" });
    world.github.isOldServer = true;
    await world.startApp();
    const { runId } = await world.decide();
    expect((await world.followed(runId)).state).toBe("succeeded");
  });

  it("knows an App: a token is fetched, and one request for it is enough", async () => {
    const { privateKey, ...settings } = world.appLogin();
    await closeGitHubWorld(world);
    world = await createGitHubWorld({ ...settings, GITHUB_APP_PRIVATE_KEY: privateKey });
    await world.startApp();
    const { runId, dispatch } = await world.decide();
    expect(dispatch?.state).toBe("sent");
    await world.followed(runId);
    const tokens = () => world.github.requests.filter(({ url }) => url.endsWith("/access_tokens"));
    expect(tokens()).toHaveLength(1);
    // It is revoked; another one is fetched, and nobody notices.
    world.github.token = "ghs_another0123456789abcdefghij";
    await addCheck(world);
    expect((await world.decide()).dispatch?.state).toBe("sent");
    expect(tokens()).toHaveLength(2);
    expect(world.github.runs).toHaveLength(2);
    expect(world.github.faults.join("\n")).toBe("");
  });

  it("has inputs of other names, and constant ones", async () => {
    await closeGitHubWorld(world);
    world = await createGitHubWorld({
      GITHUB_INPUT_NAMES: '{"drift_score":"score","decision_id":"key"}',
      GITHUB_EXTRA_INPUTS: '{"environment":"production"}',
    });
    await world.startApp();
    const { runId } = await world.decide();
    expect(world.github.runs[0]?.inputs).toEqual({
      reason: "drift_detected",
      score: "0.0975",
      buffer_size: "0",
      key: runId,
      environment: "production",
    });
  });

  it("is not asked on evidence that grew too old meanwhile: its alerts are free, and a follow-up looks again", async () => {
    world.github.next = ["429 retry-after", "429 retry-after"];
    await world.startApp({ evidenceMaxAgeSeconds: 1 } satisfies Partial<Config>);
    const { report, dispatch, runId } = await world.decide();
    expect(dispatch?.state).toBe("cancelled");
    expect(report).toContain("RETRAINING NOT ASKED FOR - A FOLLOW-UP LOOKS AGAIN");
    await until("a follow-up's training is asked for", async () => world.github.runs.length > 0);
    await until("it is written down", async () => (await listDispatches()).at(-1)?.["external_id"] !== null);
    expect(world.github.runsOf(runId)).toEqual([]);
    expect((await listDispatches())[0]).toMatchObject({ state: "cancelled", asked: false });
  });
});
