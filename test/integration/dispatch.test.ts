import { mkdtemp, rm } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { Queue } from "bullmq";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Config } from "../../src/config.ts";
import type { Database } from "../../src/postgres/database.ts";
import type { RemoteTrainer } from "../../src/trainers/trainer.ts";
import { COUNTING_TRAINER, createCountingTrainer, readAsks } from "../faults/counting-trainer.ts";
import { addCheck, createWorld, until, type World } from "../support/world.ts";

let world: World;
let directory: string;
let logFile: string;
beforeEach(async () => {
  directory = await mkdtemp(join(process.cwd(), ".data", "trainer-"));
  logFile = join(directory, "asks.jsonl");
  world = await createWorld({ settings: { MIN_BUFFER_SIZE: "0" } });
  await addCheck(world);
});
afterEach(async () => {
  await world.close();
  await rm(directory, { recursive: true });
});

type Change = (database: Database, remote: RemoteTrainer) => { database?: Database; remote?: RemoteTrainer };

/** Starts the service with a trainer that counts, its calls or the database's changed. */
async function startApp(change: Change = () => ({}), config: Partial<Config> = {}): Promise<void> {
  const trainer = createCountingTrainer(world.config.github, { logFile, losesAnswers: false });
  const { remote } = trainer;
  if (!remote) throw new Error("the counting trainer is remote");
  await world.startApp(
    { trainer: COUNTING_TRAINER as "mock", ...config },
    {
      replaceParts(parts) {
        const changed = change(parts.database, remote);
        return {
          ...parts,
          database: changed.database ?? parts.database,
          trainer: { ...trainer, remote: changed.remote ?? remote },
        };
      },
    },
  );
}

const listDispatches = () =>
  world.sql(
    "SELECT state, external_id, asked_at IS NOT NULL AS asked FROM retraining_dispatches ORDER BY id",
  );

describe("a trainer that is asked for real", () => {
  it("is asked once, under the run's id, and its training is written down", async () => {
    await startApp();
    const { runId, decision, dispatch, report } = await world.decide();
    expect(decision).toBe("trigger");
    expect(dispatch).toMatchObject({ trainer: COUNTING_TRAINER, state: "sent" });
    expect(report).toContain("FINAL STATUS: RETRAINING TRIGGERED");
    expect(readAsks(logFile).map(({ key }) => key)).toEqual([runId]);
    expect(await listDispatches()).toEqual([{ state: "sent", external_id: runId, asked: true }]);
    expect((await world.decide()).reason).toBe("already_acted_on");
  });

  it("whose answer is lost is looked at, and not asked again", async () => {
    await startApp((_, remote) => ({
      remote: {
        ...remote,
        async ask(request, key) {
          await remote.ask(request, key);
          throw new Error("socket hang up");
        },
      },
    }));
    expect((await world.decide()).dispatch?.state).toBe("sent");
    expect(readAsks(logFile)).toHaveLength(1);
  });

  it("that lost the request is left to a person, also when the stage is run again", async () => {
    await startApp((_, remote) => ({
      remote: {
        ...remote,
        ask: async () => {
          throw new Error("socket hang up");
        },
      },
    }));
    const { runId, report, dispatch } = await world.decide();
    expect(dispatch?.state).toBe("unknown");
    expect(report).toContain("FINAL STATUS: RETRAINING UNKNOWN - LOOK AT THE TRAINER");
    const queue = new Queue("act", {
      connection: { url: world.config.redisUrl },
      prefix: world.config.redisPrefix,
    });
    await (await queue.getJob(runId))?.retry("completed");
    await until("act ran again", async () => (await queue.getJob(runId))?.attemptsStarted === 2);
    await until("act ended", async () => (await queue.getJobState(runId)) === "completed");
    await queue.close();
    expect(readAsks(logFile)).toEqual([]);
    expect(await listDispatches()).toEqual([{ state: "unknown", external_id: null, asked: true }]);
    expect((await world.decide()).reason).toBe("already_acted_on");
  });

  it("is not asked on evidence that grew too old meanwhile: its alerts are free, and a follow-up looks again", async () => {
    let claims = 0;
    await startApp(
      (database) => ({
        database: {
          ...database,
          async claimDispatch(decisionId) {
            claims += 1;
            if (claims === 1) await pause(1_100);
            return database.claimDispatch(decisionId);
          },
        },
      }),
      { evidenceMaxAgeSeconds: 1 },
    );
    const { report, dispatch, runId } = await world.decide();
    expect(dispatch?.state).toBe("cancelled");
    expect(report).toContain("RETRAINING NOT ASKED FOR - A FOLLOW-UP LOOKS AGAIN");
    await until("the follow-up's training is asked for", async () => readAsks(logFile).length > 0);
    await until("it is written down", async () => (await listDispatches())[1]?.["state"] === "sent");
    expect(readAsks(logFile).map(({ key }) => key)).not.toContain(runId);
    expect(await listDispatches()).toMatchObject([
      { state: "cancelled", asked: false },
      { state: "sent", asked: true },
    ]);
  });
});
