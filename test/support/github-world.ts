import { generateKeyPairSync } from "node:crypto";
import type { TrainingReport } from "../../queues/jobs.ts";
import { INBOX_JOBS } from "../../queues/names.ts";
import type { AppOptions } from "../../src/app.ts";
import type { Config, TrainingTiming } from "../../src/config/config.ts";
import type { DecisionSummary } from "../../src/core/report/decision-summary.ts";
import { createDatabase } from "../../src/postgres/database.ts";
import { createLogger } from "../../src/process/logger.ts";
import { dryRun } from "../../src/use-cases/dry-run.ts";
import { gitHubSettings, type FakeGitHub, startFakeGitHub } from "../github/fake-github.ts";
import { type Receiver, startReceiver } from "./receiver.ts";
import { addCheck, createWorld, until, withQueue, type World } from "./world.ts";

/** A world with a fake GitHub and a receiver of its notifications. */
export interface GitHubWorld extends Omit<World, "startApp" | "decide"> {
  github: FakeGitHub;
  startApp(changes?: Changes, options?: AppOptions): Promise<void>;
  /** Starts the service with its pages, and returns their address. */
  startService(changes?: Changes): Promise<string>;
  decide(event?: object, limitMs?: number): Promise<DecisionSummary>;
  /** Sends an event and returns the run that it started, without waiting for its end. */
  startRun(): Promise<{ runId: string }>;
  dryRun(changes?: Partial<Config>): Promise<DecisionSummary>;
  /** Waits for the end of a training. */
  waitForTraining(runId: string): Promise<TrainingReport>;
  decisions(): Promise<Record<string, unknown>[]>;
  /** Returns the texts of the notifications of a kind once one of them contains `text`. */
  waitForNotifications(kind: string, text?: string): Promise<string[]>;
  /** Starts another fake GitHub at the address of the one that was closed. */
  restartGitHub(url: string): Promise<void>;
  appLogin(): { GITHUB_APP_ID: string; GITHUB_TOKEN: undefined; privateKey: string };
}

type Changes = Omit<Partial<Config>, "timing"> & { timing?: Partial<TrainingTiming> };

const listeners = new WeakMap<GitHubWorld, Receiver>();

export async function createGitHubWorld(
  settings: Record<string, string | undefined> = {},
): Promise<GitHubWorld> {
  const github = await startFakeGitHub();
  const listener = await startReceiver();
  const all: Record<string, string | undefined> = {
    MIN_BUFFER_SIZE: "0",
    ...gitHubSettings(github),
    NOTIFICATION_URL: `${listener.url}/hook`,
    ...settings,
  };
  const world = await createWorld({
    settings: Object.fromEntries(
      Object.entries(all).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])),
    ),
  });
  await addCheck(world);
  let events = 0;
  const send = (event?: object) => {
    events += 1;
    return world.client.send(INBOX_JOBS.event, { runId: `drift-${events}`, ...event });
  };
  const githubWorld: GitHubWorld = {
    ...world,
    github,
    async startApp({ timing, ...changes } = {}, options) {
      const quick = { ...world.config.timing, searchMs: 4_000, pollMs: 250, ...timing };
      await world.startApp({ ...changes, timing: quick }, options);
    },
    async startService({ timing, ...changes } = {}) {
      const quick = { ...world.config.timing, searchMs: 4_000, pollMs: 250, ...timing };
      const app = await world.startApp({ ...changes, role: "all", timing: quick });
      return app.address() ?? "";
    },
    async decide(event, limitMs = 25_000) {
      return world.client.waitForDecision(await send(event), { limitMs });
    },
    async startRun() {
      const jobId = await send();
      const job = await until("the inbox job has ended", async () => {
        const found = await world.client.inbox.getJob(jobId);
        return found?.finishedOn === undefined ? null : found;
      });
      return job.returnvalue as { runId: string };
    },
    async dryRun(changes = {}) {
      const config = { ...world.config, ...changes };
      const database = createDatabase(config, createLogger("silent"));
      try {
        await database.migrate();
        return await dryRun({ config, database, model: "default" });
      } finally {
        await database.close();
      }
    },
    waitForTraining: (runId) => world.client.waitForTraining(runId, { limitMs: 25_000 }),
    decisions: () => world.sql("SELECT * FROM retraining_decisions ORDER BY id"),
    async waitForNotifications(kind, text = "") {
      const texts = () =>
        listener.received
          .map(({ body }) => JSON.parse(body) as { type: string; data: { text: string } })
          .filter(({ type }) => type === `retrigger.${kind}`)
          .map(({ data }) => data.text);
      await until(`a notification of ${kind}`, async () => texts().some((each) => each.includes(text)));
      return texts();
    },
    async restartGitHub(url) {
      githubWorld.github = await startFakeGitHub({}, Number(new URL(url).port));
    },
    appLogin() {
      const { privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
      const pem = privateKey.export({ type: "pkcs1", format: "pem" }) as string;
      return { GITHUB_APP_ID: "12345", GITHUB_TOKEN: undefined, privateKey: pem.replaceAll("\n", "\\n") };
    },
  };
  listeners.set(githubWorld, listener);
  return githubWorld;
}

export async function closeGitHubWorld(world: GitHubWorld): Promise<void> {
  await world.close();
  await world.github.close().catch(() => {});
  await listeners.get(world)?.close();
}

/** Stops the service while act waits a minute because GitHub limited its request without giving a time. Returns the run's id. */
export async function stopWhileActWaits(world: GitHubWorld): Promise<string> {
  world.github.next = ["403 without headers"];
  await world.startApp();
  const { runId } = await world.startRun();
  await withQueue(world, "act", (queue) =>
    until("act is delayed", async () => (await queue.getJobState(runId)) === "delayed"),
  );
  await world.stopApps();
  return runId;
}

/** Lists the state and run of each dispatch and whether it was sent, in the order of the decisions. */
export function listDispatches({ sql }: Pick<World, "sql">): Promise<Record<string, unknown>[]> {
  return sql(
    "SELECT state, external_id, asked_at IS NOT NULL AS asked FROM retraining_dispatches ORDER BY id",
  );
}
