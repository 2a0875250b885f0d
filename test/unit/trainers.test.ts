import { describe, expect, it } from "vitest";
import { type Config, parseConfig } from "../../src/config/config.ts";
import { createLiveConfig } from "../../src/config/live-config.ts";
import { preflightTrainers } from "../../src/trainers/preflight.ts";
import { createTrainers } from "../../src/trainers/registry.ts";
import { settingsOf } from "../../src/trainers/trainer.ts";
import { findTrainer } from "../../src/trainers/trainers.ts";
import { webhookTrainer } from "../../src/trainers/webhook/webhook.ts";

const SERVERS = { DATABASE_URL: "postgres://localhost/db", REDIS_URL: "redis://localhost:6379" };
const GITHUB = {
  TRAINER: "github",
  GITHUB_TOKEN: "token-one",
  GITHUB_REPO_OWNER: "us",
  GITHUB_REPO_NAME: "one",
};
const WEBHOOK = {
  TRAINER: "webhook",
  TRAINER_URL: "https://jobs.example/train",
  TRAINER_SECRET: "the secret of one receiver",
  TRAINER_OUTCOME: "status_url",
};

/** The settings of models that each have the trainer of these variables; the environment's is the mock. */
function configOf(models: Record<string, Record<string, string>>): Pick<Config, "trainer" | "models"> {
  const own = Object.entries(models).flatMap(([model, settings]) =>
    [...parseConfig({ ...SERVERS, ...settings }).models.values()].map((values) => [model, values] as const),
  );
  return { trainer: parseConfig(SERVERS).trainer, models: new Map(own) };
}

const create = (config: Pick<Config, "trainer" | "models">) => createTrainers(config, (text) => text);
const order = (model: string) => ({ runId: "run", model, reason: "test", driftScore: 0.1, bufferSize: 1 });

describe("the trainers of the models", () => {
  it("are shared by models with the same connection, each of which keeps its own request", async () => {
    const trainers = await create(
      configOf({
        a: GITHUB,
        b: { ...GITHUB, GITHUB_REPO_NAME: "two", GITHUB_WORKFLOW: "b.yml" },
        c: { ...GITHUB, GITHUB_TOKEN: "token-two" },
        d: { TRAINER: "mock", GITHUB_WORKFLOW: "d.yml" },
        e: { TRAINER: "mock", GITHUB_WORKFLOW: "e.yml" },
      }),
    );
    expect(trainers.of("a")).toBe(trainers.of("b"));
    expect(trainers.of("a")).not.toBe(trainers.of("c"));
    expect(trainers.of("d")).toBe(trainers.of("e"));
    expect(trainers.all().map(({ name }) => name)).toEqual(["github", "github", "mock"]);
    const url = (model: string) => {
      const request = trainers.of(model).renderRequest(order(model));
      return "url" in request ? request.url : "";
    };
    expect(url("a")).toContain("/us/one/actions/workflows/model_training.yml/");
    expect(url("b")).toContain("/us/two/actions/workflows/b.yml/");
    expect(url("e")).toContain("/e.yml/");
  });

  it("are the environment's for a model that the settings do not name, which no preflight checks", async () => {
    const trainers = await create(configOf({ a: WEBHOOK, b: WEBHOOK }));
    expect(trainers.of("removed").name).toBe("mock");
    expect(trainers.all().map(({ name }) => name)).toEqual(["webhook"]);
    expect(await preflightTrainers(trainers)).toHaveLength(2);
  });

  it("can be created if only the models have a login at GitHub", async () => {
    const { models } = configOf({ a: GITHUB });
    const { settings } = configOf({ a: GITHUB }).models.get("a")?.trainer ?? { settings: {} };
    const environments = { name: "github", settings: { ...settings, token: undefined }, environment: {} };
    const trainers = await create({ trainer: environments, models });
    expect(trainers.of("removed").name).toBe("github");
    expect(trainers.of("removed")).not.toBe(trainers.of("a"));
  });

  it("serve only dispatches that were made for them", async () => {
    const trainers = await create(configOf({ a: WEBHOOK }));
    expect(findTrainer(trainers, { model: "a", trainer: "webhook" })).toBe(trainers.of("a"));
    expect(findTrainer(trainers, { model: "a", trainer: "github" })).toBeNull();
    expect(findTrainer(trainers, { model: "removed", trainer: "webhook" })).toBeNull();
  });
});

describe("the settings of the trainers", () => {
  const two = {
    ...WEBHOOK,
    TRAINER_SECRET: "the secret of another one",
    TRAINER_URL: "https://u:hidden@two.example",
  };

  it("are found wherever they are set", () => {
    const config = configOf({ a: WEBHOOK, b: two, c: { TRAINER: "mock" } });
    const trainers = createLiveConfig(config).listAllTrainers();
    expect(trainers.flatMap((own) => settingsOf(own, webhookTrainer)?.secret ?? [])).toEqual([
      WEBHOOK.TRAINER_SECRET,
      two.TRAINER_SECRET,
    ]);
  });
});
