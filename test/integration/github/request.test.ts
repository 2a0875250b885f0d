import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Config } from "../../../src/config/config.ts";
import {
  closeGitHubWorld,
  createGitHubWorld,
  type GitHubWorld,
  listDispatches,
} from "../../support/github-world.ts";
import { addCheck, until } from "../../support/world.ts";

let world: GitHubWorld;
beforeEach(async () => {
  world = await createGitHubWorld();
});
afterEach(() => closeGitHubWorld(world));

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
    await until(
      "it is written down",
      async () => (await listDispatches(world)).at(-1)?.["external_id"] !== null,
    );
    expect(world.github.runsOf(runId)).toEqual([]);
    expect((await listDispatches(world))[0]).toMatchObject({ state: "cancelled", asked: false });
  });
});
