import { describe, expect, it } from "vitest";
import { type Config, parseConfig } from "../../src/config/config.ts";
import { createLiveConfig } from "../../src/config/live-config.ts";
import { compareModels } from "../../src/config/model-changes.ts";

const SERVERS = { DATABASE_URL: "postgres://localhost/db", REDIS_URL: "redis://localhost:6379" };

/** The settings of models, each from variables of its own. */
function configOf(models: Record<string, Record<string, string>>): Config {
  const own = Object.entries(models).flatMap(([model, settings]) =>
    [...parseConfig({ ...SERVERS, ...settings }).models.values()].map((values) => [model, values] as const),
  );
  return { ...parseConfig(SERVERS), models: new Map(own) };
}

const WEBHOOK = {
  TRAINER: "webhook",
  TRAINER_URL: "https://jobs.example/train",
  TRAINER_SECRET: "the secret of one receiver",
  TRAINER_OUTCOME: "status_url",
};

describe("the difference between two settings", () => {
  const before = configOf({ gone: {}, same: {}, later: {}, stricter: {}, elsewhere: {} });
  const after = configOf({
    same: {},
    later: { SCHEDULE: "0 7 * * *" },
    stricter: { MIN_BUFFER_SIZE: "70000" },
    elsewhere: WEBHOOK,
    fresh: {},
  });

  it("names the models added, changed and removed, and what else that touches", () => {
    expect(compareModels(before.models, after.models)).toEqual({
      added: ["fresh"],
      changed: ["later", "stricter", "elsewhere"],
      removed: ["gone"],
      rejudged: ["stricter"],
      retrained: ["elsewhere", "gone"],
    });
  });

  it("is empty if the file is the same", () => {
    const { added, changed, removed, rejudged, retrained } = compareModels(
      before.models,
      configOf({ gone: {}, same: {}, later: {}, stricter: {}, elsewhere: {} }).models,
    );
    expect([added, changed, removed, rejudged, retrained].flat()).toEqual([]);
  });
});

describe("the settings of a running process", () => {
  it("keep a removed model's last settings for its runs, and its trainers for its open trainings", () => {
    const live = createLiveConfig(configOf({ films: WEBHOOK }));
    const last = configOf({ films: { ...WEBHOOK, TRAINER_SECRET: "the secret of another one" } });
    live.replace(last);
    live.replace(configOf({ games: {} }));
    expect([...live.models().keys()]).toEqual(["games"]);
    expect(live.findForRun("films")).toBe(last.models.get("films"));
    expect(live.listTrainers("films").map(({ settings }) => settings["secret"])).toEqual([
      "the secret of another one",
      WEBHOOK.TRAINER_SECRET,
    ]);
    expect(() => live.findForRun("books")).toThrow('model: "books" is not in the settings');
  });

  it("stay the same object for a model that does not change", () => {
    const first = configOf({ films: {}, games: {} });
    const live = createLiveConfig(first);
    live.replace(configOf({ films: { MIN_BUFFER_SIZE: "7" }, games: {} }));
    expect(live.models().get("games")).toBe(first.models.get("games"));
    expect(live.models().get("films")).not.toBe(first.models.get("films"));
  });

  it("are the new ones for a model that returns", () => {
    const live = createLiveConfig(configOf({ films: WEBHOOK }));
    live.replace(configOf({ games: {} }));
    const back = configOf({ films: {} });
    live.replace(back);
    expect(live.findForRun("films")).toBe(back.models.get("films"));
    expect(live.listTrainers("films").map(({ name }) => name)).toEqual(["mock", "webhook"]);
  });
});
