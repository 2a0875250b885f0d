import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { TrainingReport } from "../../queues/jobs.ts";
import type { DecisionSummary } from "../../src/core/report/decision-summary.ts";
import { closeGitHubWorld, createGitHubWorld, type GitHubWorld } from "../support/github-world.ts";
import { runScript } from "../support/process.ts";
import { until } from "../support/world.ts";
import { listKeys } from "../support/redis-keys.ts";

let world: GitHubWorld;
beforeEach(async () => {
  world = await createGitHubWorld({ TRAINING_POLL_SECONDS: "1" });
});
afterEach(() => closeGitHubWorld(world));

function retrigger(args: string[], settings: Record<string, string> = {}) {
  return runScript("src/cli.ts", args, { ...world.settings, ...settings });
}

const states = async () =>
  (await world.sql("SELECT state FROM retraining_dispatches ORDER BY id")).map(({ state }) => state);

describe("npx retrigger decide, with a real trainer", () => {
  it("--wait returns once the training is dispatched, and says that no worker follows it yet", async () => {
    const { code, stdout, stderr } = await retrigger(["decide", "--wait"]);
    expect({ code, last: stdout.trim().split("\n").at(-1) }).toEqual({
      code: 0,
      last: "🎯 FINAL STATUS: RETRAINING TRIGGERED",
    });
    expect(stderr).toContain("once a worker is running: npm start");
    expect(await states()).toEqual(["sent"]);
  });

  it("--wait=training follows the training to its end and shows its progress", async () => {
    world.github.course = { queuedMs: 200, runningMs: 4_000, conclusion: "success" };
    const { code, stdout, stderr } = await retrigger(["decide", "--wait=training", "--json"]);
    expect(code).toBe(0);
    const { training, dispatch } = JSON.parse(stdout) as DecisionSummary & { training: TrainingReport };
    expect(dispatch?.state).toBe("sent");
    expect(training).toMatchObject({ state: "succeeded", conclusion: "success" });
    expect(stderr).toMatch(
      /Training: running · in_progress[^]*Training: succeeded · completed · success · \d s · https/,
    );
  });

  it("has exit code 1 if the training fails or is refused, and says why", async () => {
    world.github.course = { queuedMs: 0, runningMs: 100, conclusion: "failure" };
    const failed = await retrigger(["decide", "--wait=training"]);
    expect(failed.code).toBe(1);
    expect(failed.stderr).toContain("Its alerts are held back until");
    await world.sql("DELETE FROM retraining_decisions");
    world.github.next = ["403"];
    const refused = await retrigger(["decide", "--wait"]);
    expect(refused.code).toBe(1);
    expect(refused.stdout).toContain("give it Actions: read and write on the repository");
  });
});

describe("npx retrigger dispatch", () => {
  it("retry sends the request again after a refusal, and fails if there is nothing to retry", async () => {
    await world.startApp();
    world.github.next = ["422 disabled", "422 disabled"];
    await world.decide();
    const still = await retrigger(["dispatch", "retry", "1"]);
    expect(still.code).toBe(1);
    expect(still.stderr).toContain("gh workflow enable");
    const { code, stdout } = await retrigger(["dispatch", "retry", "1"]);
    expect(code).toBe(0);
    expect(stdout).toMatch(/^Decision 1: \w+ \d+ https:\/\/github.com/);
    expect(world.github.runs).toHaveLength(1);
    const again = await retrigger(["dispatch", "retry", "1"]);
    expect(again).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/The dispatch is \w+, not rejected/) as string,
    });
    expect((await retrigger(["dispatch", "retry", "99"])).stderr).toContain("Decision 99 has no dispatch");
    expect((await retrigger(["dispatch", "resend", "1"])).stderr).toContain("not unknown");
    expect(world.github.dispatches()).toHaveLength(3);
  });

  it("resend repeats a request that started nothing, and confirm names the run that was started", async () => {
    await world.startApp({ timing: { searchMs: 500 } });
    world.github.next = ["drop"];
    const { runId } = await world.decide();
    const resent = await retrigger(["dispatch", "resend", runId]);
    expect(resent).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/: (sent|running|succeeded) \d+ https/) as string,
    });
    expect((await world.waitForTraining(runId)).state).toBe("succeeded");

    await world.sql("DELETE FROM retraining_decisions");
    world.github.next = ["accept and drop"];
    world.github.listLagMs = 3_600_000;
    const unknown = await world.decide();
    expect(unknown.dispatch?.state).toBe("unknown");
    const id = String(unknown.decisionId);
    const url = `https://github.com/YOUR_USER/cinematch/actions/runs/${world.github.runs.at(-1)?.id}`;
    expect((await retrigger(["dispatch", "confirm", id, "the-last-one"])).stderr).toContain(
      'run is "the-last-one"',
    );
    const confirmed = await retrigger(["dispatch", "confirm", id, url]);
    expect(confirmed).toMatchObject({
      code: 0,
      stdout: expect.stringContaining("It will be followed") as string,
    });
    await until("it succeeded", async () => (await states()).at(-1) === "succeeded");
    expect(world.github.runs).toHaveLength(2);
  });

  it("works if no worker runs and Redis has lost the chain", async () => {
    world.github.next = ["401"];
    expect((await retrigger(["decide", "--wait"])).code).toBe(1);
    await world.redis.del(await listKeys(world.redis, `${world.config.redisPrefix}:*`));
    const { code, stderr, stdout } = await retrigger(["dispatch", "retry", "1"]);
    expect({ code, stderr }).toEqual({
      code: 0,
      stderr: expect.stringContaining("No worker is running") as string,
    });
    expect(stdout).toMatch(/^Decision 1: sent/);
    expect(await states()).toEqual(["sent"]);
  });

  it("leaves the dispatches of another trainer alone", async () => {
    world.github.next = ["401"];
    await retrigger(["decide", "--wait"]);
    const { code, stderr } = await retrigger(["dispatch", "retry", "1"], { TRAINER: "mock" });
    expect({ code, stderr }).toEqual({
      code: 1,
      stderr: "The training of decision 1 was dispatched to github, but the trainer of default is mock\n",
    });
    expect(await states()).toEqual(["rejected"]);
  });
});

describe("npx retrigger doctor, with the GitHub trainer", () => {
  const doctor = async () =>
    (await retrigger(["doctor"])).stdout.split("\n").filter((line) => /GitHub|→|^on|run-name/.test(line));

  it("finds nothing wrong, and starts nothing", async () => {
    const lines = await doctor();
    expect(lines.filter((line) => line.includes("GitHub:"))).toEqual([
      "✅ GitHub: YOUR_USER/cinematch is reachable",
      "✅ GitHub: the token has write access to Actions",
      "✅ GitHub: the workflow model_training.yml is active",
      "✅ GitHub: model_training.yml has workflow_dispatch",
      "✅ GitHub: model_training.yml declares all inputs",
      "✅ GitHub: model_training.yml names its runs after the decision",
    ]);
    expect(world.github.dispatches()).toEqual([]);
    expect(world.github.faults.join("\n")).toBe("");
  });

  it("says for each problem what to do", async () => {
    world.github.permissions = { push: true, scopes: null, actions: "read" };
    world.github.workflow = {
      state: "disabled_manually",
      text: "name: x\non:\n  workflow_dispatch:\n    inputs:\n      reason: {}\n      secret: { required: true }\n",
    };
    const text = (await retrigger(["doctor"])).stdout;
    for (const part of [
      "❌ GitHub: the token has no write access to Actions",
      "❌ GitHub: the workflow model_training.yml is disabled_manually",
      "does not declare the input(s) drift_score, buffer_size, decision_id",
      "requires the input secret, which is not sent",
      "run-name: Retrain ${{ inputs.decision_id }}",
    ])
      expect(text).toContain(part);
    world.github.workflow.text = "on: [push]";
    expect((await retrigger(["doctor"])).stdout).toContain(
      "❌ GitHub: model_training.yml has no workflow_dispatch",
    );
    world.github.permissions = { push: true, scopes: "gist, read:org", actions: "write" };
    expect((await retrigger(["doctor"])).stdout).toContain(
      "❌ GitHub: the token has no write access to Actions",
    );
    world.github.token = "another one";
    const wrong = await retrigger(["doctor"]);
    expect(wrong.code).toBe(1);
    expect(wrong.stdout).toContain("❌ GitHub: YOUR_USER/cinematch: GitHub returned 401: Bad credentials");
  });
});
