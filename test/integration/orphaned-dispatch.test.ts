import { stat } from "node:fs/promises";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { ServerAwayError } from "../../src/core/errors.ts";
import {
  closeGitHubWorld,
  createGitHubWorld,
  type GitHubWorld,
  stopWhileActWaits,
} from "../support/github-world.ts";
import { runScript } from "../support/process.ts";
import { replaceRemote } from "../support/replace-remote.ts";
import { afterRecording, failAfterAct } from "../support/stages.ts";
import { addCheck, until, withQueue, withTrainer } from "../support/world.ts";

let world: GitHubWorld;
beforeEach(async () => {
  world = await createGitHubWorld();
});
afterEach(() => closeGitHubWorld(world));

const dispatches = () => world.sql("SELECT * FROM retraining_dispatches ORDER BY id");

/** A database user for the service alone, whose password an administrator changes while the service runs. */
async function createUser() {
  const { pathname } = new URL(world.config.databaseUrl);
  const name = `service_${pathname.slice(6)}`;
  await world.sql(`CREATE ROLE ${name} LOGIN SUPERUSER PASSWORD 'before-the-rotation'`);
  const url = new URL(world.config.databaseUrl);
  url.username = name;
  url.password = "before-the-rotation";
  const setPassword = async (password: string) => {
    await world.sql(`ALTER ROLE ${name} PASSWORD '${password}'`);
    await world.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = $1", [name]);
  };
  return {
    databaseUrl: url.href,
    rotate: () => setPassword("after-the-rotation"),
    restore: () => setPassword("before-the-rotation"),
    drop: async () => {
      await world.sql(`DROP OWNED BY ${name}`);
      await world.sql(`DROP ROLE ${name}`);
    },
  };
}

/** Orphans a dispatch: its request was sent, the response was lost, and its act stage failed for good. */
async function orphanDispatch(timing: object): Promise<{ runId: string }> {
  // The administrator owns the tables, so that the user of the service can be dropped.
  await runScript("src/cli.ts", ["migrate"], world.settings);
  const user = await createUser();
  world.github.next = ["drop"];
  let isRotated = false;
  await world.startApp(
    { databaseUrl: user.databaseUrl, timing },
    {
      replaceParts: (parts) => ({
        ...parts,
        trainers: replaceRemote(parts.trainers, (remote) => ({
          ...remote,
          async request(dispatch) {
            const response = await remote.request(dispatch);
            if (!isRotated) await user.rotate();
            isRotated = true;
            return response;
          },
        })),
      }),
    },
  );
  const { runId } = await world.startRun();
  await withQueue(world, "act", (queue) =>
    until("act failed for good", async () => (await queue.getJobState(runId)) === "failed"),
  );
  expect(await dispatches()).toMatchObject([{ state: "pending", asked_at: expect.any(Date) as Date }]);
  await user.restore();
  return { runId };
}

describe("a dispatch whose act stage failed for good", () => {
  it("is still settled, and its model is released", { timeout: 60_000 }, async () => {
    await orphanDispatch({ searchMs: 1_000, lostAfterMs: 4_000 });
    await until(
      "it is left to an operator",
      async () => (await dispatches())[0]?.["state"] === "unknown",
      70_000,
    );
    expect(world.github.dispatches()).toHaveLength(1);
    // It holds its model back for a while, but not forever.
    await addCheck(world, { age: "1 minute" });
    await world.decide();
    await until("a new alert started a training", async () => world.github.runs.length === 1);
  });

  it(
    "can be resent by an operator after the failed job was removed in Bull Board",
    { timeout: 90_000 },
    async () => {
      const { runId } = await orphanDispatch({ searchMs: 1_000 });
      await withQueue(world, "act", async (queue) => (await queue.getJob(runId))?.remove());
      await until(
        "it is left to an operator",
        async () => (await dispatches())[0]?.["state"] === "unknown",
        70_000,
      );
      const { code, stdout } = await runScript("src/cli.ts", ["dispatch", "resend", "1"], world.settings);
      expect({ code, stdout }).toEqual({
        code: 0,
        stdout: expect.stringMatching(/^Decision 1: (sent|running|succeeded) \d+ https/) as string,
      });
      expect(world.github.runsOf(runId)).toHaveLength(1);
    },
  );
});

describe("an automatic retry of act", () => {
  it("does not send a refused request again", async () => {
    world.github.next = ["401", "401"];
    await world.startApp({}, failAfterAct(3));
    const { dispatch } = await world.decide();
    expect(dispatch?.state).toBe("rejected");
    expect(world.github.dispatches()).toHaveLength(1);
  });

  it("does not keep a new alert from starting a training once the one that held it back has ended", async () => {
    world.github.course = { queuedMs: 0, runningMs: 6_000, conclusion: "success" };
    await world.startApp({}, failAfterAct(0));
    await world.decide();
    await world.stopApps();
    await world.startApp({}, failAfterAct(2));
    await addCheck(world, { age: "1 minute" });
    expect((await world.decide()).reason).toBe("training_in_flight");
    await until("the new alert started a training", async () => world.github.runs.length === 2);
  });

  it("still requests the follow-up of a dispatch that was never sent", async () => {
    world.github.next = ["429 retry-after", "429 retry-after"];
    let left = 2;
    await world.startApp(
      { evidenceMaxAgeSeconds: 1 },
      {
        replaceParts: (parts) => ({
          ...parts,
          chain: {
            ...parts.chain,
            async requestFollowUp(model, runId, because) {
              left -= 1;
              if (left >= 0) throw new ServerAwayError("REDIS_AWAY", "away for a moment");
              return parts.chain.requestFollowUp(model, runId, because);
            },
          },
        }),
      },
    );
    await world.startRun();
    await until("the follow-up's training", async () => world.github.runs.length === 1);
    expect((await dispatches())[0]).toMatchObject({ state: "cancelled", reason_code: "evidence_too_old" });
  });
});

describe("a recorded request", () => {
  const tamper = (change: string) =>
    world.sql(`UPDATE retraining_dispatches SET request = (request::jsonb || '${change}'::jsonb)::json`);

  /** Changes the row after the decision, before its request is sent. */
  async function startTampered(change: string, settings: object = {}): Promise<void> {
    await world.startApp(
      settings,
      afterRecording(() => tamper(change)),
    );
  }

  it.each([
    ["another path", { url: "https://api.github.com/repos/../user/repos" }],
    ["another body", { body: { ref: "evil", inputs: {} } }],
  ])("with %s is not sent, but reported as tampered with", async (_, change) => {
    await startTampered(JSON.stringify(change));
    const { dispatch, report } = await world.decide();
    expect(dispatch).toMatchObject({ state: "rejected", reason: "request_tampered" });
    expect(report).toContain("the row was changed");
    expect(world.github.dispatches()).toEqual([]);
  });

  it("that no longer matches the settings is cancelled, and a follow-up re-evaluates", async () => {
    const runId = await stopWhileActWaits(world);
    const { name, settings, environment } = world.config.trainer;
    await world.startApp(
      withTrainer(world.config, { name, settings: { ...settings, ref: "next" }, environment }),
    );
    await withQueue(world, "act", async (queue) => (await queue.getJob(runId))?.promote());
    await until("the follow-up's training", async () => world.github.runs.length === 1);
    expect((await dispatches())[0]).toMatchObject({ state: "cancelled", reason_code: "settings_changed" });
    expect(world.github.runsOf(runId)).toEqual([]);
    expect(world.github.dispatches().at(-1)?.body).toMatchObject({ ref: "next" });
  });

  it("never runs as a program", async () => {
    const file = `.data/hacked-${process.pid}`;
    const command = {
      name: "command",
      settings: { command: ["/bin/true"], workingDirectory: ".", environment: [], limitSeconds: 10 },
      environment: {},
    };
    const changes = withTrainer(world.config, command);
    await startTampered(JSON.stringify({ command: ["/bin/sh", "-c", `touch ${file}`] }), changes);
    const { dispatch } = await world.decide();
    expect(dispatch).toMatchObject({ state: "rejected", reason: "request_tampered" });
    // Not even if the row says that it was already sent.
    await world.sql("UPDATE retraining_dispatches SET state = 'sent', asked_at = now()");
    await world.stopApps();
    await world.startApp(changes);
    await until("it has run", async () => (await dispatches())[0]?.["state"] === "succeeded");
    await expect(stat(file)).rejects.toThrow("ENOENT");
  });

  it("does not lead to another address if the row's id was tampered with", async () => {
    world.github.course = { queuedMs: 0, runningMs: 600_000, conclusion: "success" };
    await world.startApp();
    await world.decide();
    await world.sql("UPDATE retraining_dispatches SET external_id = '../../../../user/repos'");
    const before = world.github.requests.length;
    await until("the training was polled", async () => {
      const [row] = await world.sql("SELECT silent_since FROM retraining_dispatches");
      return row?.["silent_since"];
    });
    expect(world.github.requests.slice(before).filter(({ url }) => url.includes("/user/"))).toEqual([]);
  });
});
