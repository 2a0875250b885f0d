import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Config } from "../../../src/config/config.ts";
import {
  closeGitHubWorld,
  createGitHubWorld,
  type GitHubWorld,
  listDispatches,
} from "../../support/github-world.ts";
import { addCheck, until, withTrainer } from "../../support/world.ts";

let world: GitHubWorld;
beforeEach(async () => {
  world = await createGitHubWorld();
});
afterEach(() => closeGitHubWorld(world));

describe("a training requested from GitHub", () => {
  it("sends exactly the request that the mock shows, once, and follows the run to its end", async () => {
    world.github.course = { queuedMs: 100, runningMs: 4_000, conclusion: "success" };
    const shown = (await world.dryRun(withTrainer(world.config, { ...world.config.trainer, name: "mock" })))
      .dispatch?.request;
    await world.startApp();
    const { runId, decision, dispatch, report } = await world.decide();
    expect(decision).toBe("trigger");
    const [run] = world.github.runs;
    expect(dispatch).toMatchObject({ trainer: "github", state: "sent", externalId: String(run?.id) });
    expect(report).toContain(`Training requested (sent): ${run?.id} https://github.com/`);
    expect(report).toContain("FINAL STATUS: RETRAINING TRIGGERED");

    const [sent, ...more] = world.github.dispatches();
    expect(more).toEqual([]);
    if (!shown || !("url" in shown)) throw new Error("The mock trainer showed no request");
    const { Authorization: _, ...headers } = shown.headers;
    expect(`${world.github.url}${sent?.url}`).toBe(shown.url);
    expect(sent?.body).toEqual({
      ...shown.body,
      inputs: { ...(shown.body["inputs"] as object), decision_id: runId },
    });
    for (const [name, value] of Object.entries(headers))
      expect(sent?.headers[name.toLowerCase()]).toBe(value);

    expect((await world.decide()).reason).toBe("already_acted_on,training_in_flight");
    const training = await world.waitForTraining(runId);
    expect(training).toMatchObject({ state: "succeeded", conclusion: "success", attempt: 1, extraRuns: [] });
    // A decision was made while it ran, so a follow-up re-evaluates afterwards. The alert has been acted on.
    await until("the follow-up has decided", async () => (await world.decisions()).length === 3);
    expect((await world.decisions()).at(-1)).toMatchObject({ reason: "already_acted_on", cause: "followup" });
    expect(world.github.faults.join("\n")).toBe("");
  });

  it("finds the run in the list after a 204 response, however late the run appears there", async () => {
    world.github.next = ["204"];
    world.github.listLagMs = 1_500;
    await world.startApp();
    const { dispatch, runId, report } = await world.decide();
    expect(dispatch).toMatchObject({ state: "sent", externalId: null });
    expect(report).toContain("Training requested (sent)");
    expect(await world.waitForTraining(runId)).toMatchObject({
      state: "succeeded",
      externalId: String(world.github.runs[0]?.id),
    });
  });

  it("names the setting that an older GitHub server needs, and accepts its 204 response", async () => {
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
    expect((await world.waitForTraining(runId)).state).toBe("succeeded");
  });

  it("fetches one token for a GitHub App, and another one only after the first was revoked", async () => {
    const { privateKey, ...settings } = world.appLogin();
    await closeGitHubWorld(world);
    world = await createGitHubWorld({ ...settings, GITHUB_APP_PRIVATE_KEY: privateKey });
    await world.startApp();
    const { runId, dispatch } = await world.decide();
    expect(dispatch?.state).toBe("sent");
    await world.waitForTraining(runId);
    const tokens = () => world.github.requests.filter(({ url }) => url.endsWith("/access_tokens"));
    expect(tokens()).toHaveLength(1);
    // Revoking the token must go unnoticed: another one is fetched.
    world.github.token = "ghs_another0123456789abcdefghij";
    await addCheck(world);
    expect((await world.decide()).dispatch?.state).toBe("sent");
    expect(tokens()).toHaveLength(2);
    expect(world.github.runs).toHaveLength(2);
    expect(world.github.faults.join("\n")).toBe("");
  });

  it("uses the configured input names and the extra inputs", async () => {
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

  it("is cancelled if its evidence has become too old: the alerts are released, and a follow-up re-evaluates", async () => {
    world.github.next = ["429 retry-after", "429 retry-after"];
    await world.startApp({ evidenceMaxAgeSeconds: 1 } satisfies Partial<Config>);
    const { report, dispatch, runId } = await world.decide();
    expect(dispatch?.state).toBe("cancelled");
    expect(report).toContain("RETRAINING NOT REQUESTED - A FOLLOW-UP RE-EVALUATES");
    await until("the follow-up's training is dispatched", async () => world.github.runs.length > 0);
    await until(
      "its run is recorded",
      async () => (await listDispatches(world)).at(-1)?.["external_id"] !== null,
    );
    expect(world.github.runsOf(runId)).toEqual([]);
    expect((await listDispatches(world))[0]).toMatchObject({ state: "cancelled", asked: false });
  });
});
