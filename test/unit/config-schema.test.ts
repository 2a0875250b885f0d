import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Ajv2020 } from "ajv/dist/2020.js";
import { afterAll, describe, expect, it } from "vitest";
import { parse as parseYaml, parseDocument, stringify } from "yaml";
import { parseConfig } from "../../src/config/config.ts";
import { describeModels } from "../../src/config/describe-models.ts";
import { toConfigFile } from "../../src/config/effective-config.ts";
import { renderJsonSchema } from "../../src/config/json-schema.ts";
import { CRITERIA } from "../../src/core/criteria/registry.ts";
import { GUARDS } from "../../src/core/guards/registry.ts";
import { FAULTY_FILES, FILE_OF_THE_ISSUE } from "../support/config-files.ts";

const directory = mkdtempSync(join(tmpdir(), "retrigger-schema-"));
const path = join(directory, "retrigger.yaml");
afterAll(() => rmSync(directory, { recursive: true }));

const ENV = {
  DATABASE_URL: "postgres://localhost/db",
  REDIS_URL: "redis://localhost:6379",
  GITHUB_TOKEN: "token-of-all",
  GITHUB_REPO_OWNER: "us",
  GITHUB_REPO_NAME: "films",
  FILMS_URL: "postgres://reader:hunter2@films.example/db",
  HOOK: "https://u:hunter3@h/train",
  SECRET: "a long secret",
};

function modelsOf(text: string) {
  writeFileSync(path, text);
  return parseConfig({ ...ENV, RETRIGGER_CONFIG: path }).models;
}

/** Every kind of source and trainer. */
const VARIED = `
defaults: { schedule: "off", trainer: { github: { workflow: shared.yml } } }
models:
  films: { source: { database: FILMS_URL }, expectDriftRunEvery: 36h, spread: 90m }
  fraud: { trainer: { webhook: { url: HOOK, secret: SECRET, outcome: accepted } }, source: { checks: reported, buffer: { reported: true, unit: payments } } }
  books: { trainer: { command: { command: [python, train.py], environment: [PATH, HOME], limitSeconds: 60 } }, policy: { guards: { alreadyActedOn: off, retryBackoff: off } } }
  games: { trainer: mock, policy: { when: { atLeast: 2, of: [ { maxAge: 60d }, { driftAlerts: 1 }, { features: { weights: { ks: 2 } } } ] }, guards: { snooze: off } }, outcomes: { view: games.outcomes, mlflow: Games } }`;

describe("the JSON Schema of the file", () => {
  const validate = new Ajv2020({ strict: true, allowUnionTypes: true }).compile(renderJsonSchema());

  it("accepts the file of the issue, and every kind of source and trainer", () => {
    expect([validate(parseYaml(FILE_OF_THE_ISSUE)), validate.errors]).toEqual([true, null]);
    expect([validate(parseYaml(VARIED)), validate.errors]).toEqual([true, null]);
  });

  it.each([...CRITERIA, ...GUARDS].map((check) => [check.key, check] as const))(
    "accepts the example of %s",
    (key, { docs }) => {
      const own = parseYaml(docs.example) as object;
      const isGuard = GUARDS.some((guard) => guard.key === key);
      const policy = isGuard ? { guards: own } : { when: own };
      expect([validate({ models: { films: { policy } } }), validate.errors]).toEqual([true, null]);
    },
  );

  it("refuses every faulty file, except for what only the program can tell", () => {
    const accepted = FAULTY_FILES.flatMap(([name, text]) => {
      if (typeof text !== "string" || name === "a list as key") return [];
      const document = parseDocument(text);
      if (document.errors.length + document.warnings.length > 0) return [];
      try {
        return validate(document.toJS()) ? [name] : [];
      } catch {
        return [];
      }
    });
    expect(accepted).toEqual([
      "a schedule that is none",
      "a schedule that never fires",
      "too long a spread",
      "conditions nested too deeply",
      "a condition that always holds",
      "an atLeast that cannot be reached",
      "a sample floor twice",
      "too many features required",
      "a cooldown longer than the history",
      "quiet hours that never end",
      "quiet hours that say nothing",
      "a table with three parts",
      "a table without a name",
      "a column that must exist",
      "a table beside reported",
      "columns of what is reported",
      "a database whose variable is not set",
      "a database of another kind",
      "a database that nothing is read from",
      "a sample floor without samples",
      "a severity without thresholds",
      "a veto without features",
      "a growth without times",
      "a waiting cost without times",
      "a trainer without what it needs",
      "a webhook without an outcome",
      "an input twice",
      "a secret that is too short",
    ]);
  });
});

describe("the settings in force", () => {
  it("are a file that gives the same settings again, without any secret", () => {
    for (const text of [FILE_OF_THE_ISSUE, VARIED]) {
      const models = modelsOf(text);
      const printed = stringify(toConfigFile(models), { aliasDuplicateObjects: false });
      expect(printed).not.toMatch(/hunter|token-of-all|a long secret/);
      const again = modelsOf(printed);
      expect(toConfigFile(again)).toEqual(toConfigFile(models));
      for (const [name, { settingNames: _, ...model }] of models)
        expect(again.get(name)).toMatchObject(model);
    }
  });

  it("fit on a page, however many models there are", () => {
    const names = Array.from({ length: 2_000 }, (_, index) => `m${index}`);
    const lines = describeModels(modelsOf(`models:\n${names.map((name) => `  ${name}: {}`).join("\n")}`));
    expect(lines.length).toBeLessThanOrEqual(40);
    expect(lines[0]).toBe("2,000 models with one policy");
    expect(lines.at(-1)).toContain("1,970 more");
  });
});
