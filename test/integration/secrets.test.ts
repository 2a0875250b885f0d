import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { FAKE_TOKEN } from "../github/fake-github.ts";
import { closeGitHubWorld, createGitHubWorld, type GitHubWorld } from "../support/github-world.ts";
import { runScript, spawnScript } from "../support/process.ts";
import { dumpRedis, dumpTables } from "../support/secrets.ts";
import { createWorld, failureOf, until } from "../support/world.ts";
import { listKeys } from "../support/redis-keys.ts";

const SECRETS = {
  GITHUB_TOKEN: FAKE_TOKEN,
  GITHUB_WEBHOOK_SECRET: "github-webhook-secret-0815",
  NOTIFICATION_SECRET: "notification-secret-0815",
  SLACK_WEBHOOK_URL: "http://127.0.0.1:9/services/slack-path-0815",
};

let world: GitHubWorld;
beforeEach(async () => {
  world = await createGitHubWorld(SECRETS);
});
afterEach(() => closeGitHubWorld(world));

/** Everything that a run of the whole program left behind or showed: log, Redis, Postgres, pages, command line. */
async function collectEverything(log: string, address: string): Promise<Record<string, string>> {
  const paths = [
    "/decisions",
    "/api/v1/decisions",
    "/metrics",
    "/queues/api/queues?activeQueue=act&status=latest&page=1",
  ];
  const pages = await Promise.all(paths.map(async (path) => (await fetch(address + path)).text()));
  const commands = [
    ["history", "--json"],
    ["doctor"],
    ["decide", "--dry-run", "--json"],
    ["dispatch", "retry", "1"],
  ];
  const outputs = [];
  for (const command of commands) outputs.push(await runScript("src/cli.ts", command, world.settings));
  return {
    log,
    redis: await dumpRedis(world.redis, world.config.redisPrefix),
    postgres: await dumpTables(world.sql),
    pages: pages.join("\n"),
    commands: JSON.stringify(outputs),
  };
}

describe("secrets", () => {
  it(
    "appear in no log, job, report, page, row or error, even if a server's response quotes them",
    { timeout: 60_000 },
    async () => {
      // GitHub first refuses the login and quotes it, then accepts it.
      world.github.next = ["401 quoting"];
      const settings = { ...world.settings, LOG_LEVEL: "trace", TRAINING_POLL_SECONDS: "1" };
      const service = spawnScript("src/main.ts", [], settings);
      let log = "";
      for (const stream of [service.stdout, service.stderr])
        stream?.on("data", (chunk: Buffer) => (log += chunk.toString()));
      await until("it is ready", async () => log.includes("Retrigger is ready"));
      const address = /"address":"([^"]+)"/.exec(log)?.[1] ?? "";
      expect((await world.decide()).dispatch?.error).toContain("Bad credentials: token [GITHUB_TOKEN]");
      const { runId } = await world.decide();
      expect((await world.waitForTraining(runId)).state).toBe("succeeded");
      await world.sql("ALTER TABLE drift_alerts RENAME TO gone");
      await world.decide().catch(() => {});
      await until("the notification of Slack has failed", async () => {
        const keys = await listKeys(world.redis, `${world.config.redisPrefix}:notifications:slack-*`);
        const reasons = await Promise.all(
          keys.map((key) =>
            world.redis
              .type(key)
              .then((type) => (type === "hash" ? world.redis.hget(key, "failedReason") : null)),
          ),
        );
        return reasons.some((reason) => reason?.includes("no response"));
      });
      const everything = await collectEverything(log, address);
      service.kill("SIGTERM");
      await until("it ended", async () => service.exitCode !== null);

      const password = new URL(world.config.databaseUrl).password;
      const forbidden = {
        ...SECRETS,
        SLACK_WEBHOOK_URL: "slack-path-0815",
        "password of Postgres": password,
      };
      for (const [place, text] of Object.entries({ ...everything, log })) {
        expect(text.length, `${place} is there`).toBeGreaterThan(100);
        for (const [name, secret] of Object.entries(forbidden))
          expect(text.includes(secret), `${name} in ${place}`).toBe(false);
      }
    },
  );
});

describe("the search for secrets in each test's tables", () => {
  it("fails if a table cannot be read, and passes if no table exists", async () => {
    const broken = await createWorld();
    await broken.startApp();
    await broken.sql("ALTER TABLE retraining_dispatches RENAME TO hidden");
    expect(await failureOf(broken.close())).toContain('"retraining_dispatches" does not exist');
    await (await createWorld()).close();
  });
});
