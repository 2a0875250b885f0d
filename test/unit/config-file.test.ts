import { generateKeyPairSync } from "node:crypto";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { type Config, parseConfig } from "../../src/config/config.ts";
import { FROM_DOT_ENV } from "../../src/config/environment.ts";
import { ConfigError } from "../../src/core/errors.ts";
import { GUIDE_POLICY } from "../../src/core/policy.ts";
import { FAULTY_FILES, FILE_OF_THE_ISSUE } from "../support/config-files.ts";

const SERVERS = { DATABASE_URL: "postgres://localhost/db", REDIS_URL: "redis://localhost:6379" };
const GITHUB = { GITHUB_TOKEN: "token-of-all", GITHUB_REPO_OWNER: "us", GITHUB_REPO_NAME: "films" };

const directory = mkdtempSync(join(tmpdir(), "retrigger-config-"));
const path = join(directory, "retrigger.yaml");
afterAll(() => rmSync(directory, { recursive: true }));

function parse(text: string | Uint8Array, env: Record<string, string> = {}): Config {
  writeFileSync(path, text);
  return parseConfig({ ...SERVERS, ...env, RETRIGGER_CONFIG: path });
}

function faultsOf(text: string | Uint8Array, env: Record<string, string> = {}): string[] {
  try {
    parse(text, env);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return error.faults.map((fault) => fault.replace(`${path}: `, ""));
  }
  return [];
}

describe("a file that RETRIGGER_CONFIG names by mistake", () => {
  const { privateKey } = generateKeyPairSync("ec", {
    namedCurve: "P-256",
    publicKeyEncoding: { type: "spki", format: "pem" },
    privateKeyEncoding: { type: "pkcs8", format: "pem" },
  });

  it.each([
    ["a private key", privateKey],
    [
      "an encrypted private key",
      privateKey.replace("\n", "\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES,0815ABCDEF\n\n"),
    ],
    ["a .env file", `TOKEN="hunter2-0815"\nKEY='${"k".repeat(20)}'\n`],
    [
      "a .env file with colons and quotes",
      `A="hunter2: 0815"\nA="hunter2: 0815"\nB: *hunter2-0815\nC: &hunter2 x\n`,
    ],
    ["the file of an AWS profile", "[default]\naws_secret_access_key = hunter2/0815\n"],
    ["a token alone", "hunter2-0815-0123456789"],
    ["a token with a colon", "hunter2-0815: x\nhunter2-0815: y"],
    ["a token like an alias", "*hunter2-0815"],
    ["a token like a tag", "!hunter2-0815 x"],
    ["a token like a directive", "%hunter2-0815\n"],
    ["a list of tokens", "- hunter2-0815\n- hunter2-0815"],
  ])("is not quoted: %s", (_, text) => {
    const faults = faultsOf(text);
    expect(faults).not.toEqual([]);
    const lines = text.split("\n").filter((line) => line.length > 20 && !line.startsWith("-----"));
    for (const secret of ["hunter2", "0815", ...lines]) expect(faults.join("\n")).not.toContain(secret);
  });
});

describe("the file", () => {
  it("of the issue gives what it says", () => {
    const { models } = parse(FILE_OF_THE_ISSUE, GITHUB);
    expect(models.get("films")).toMatchObject({
      schedule: "0 6 * * *",
      spreadMs: 600_000,
      expectDriftRunEveryMs: 8 * 86_400_000,
      source: {
        checks: { table: "films.drift_log", columns: { samples: "n" }, where: { model: "films" } },
        buffer: { unit: "events", columns: { batch: null, time: "event_time" }, since: "lastTraining" },
      },
      trainer: { name: "github", settings: { workflow: "film_training.yml", token: "token-of-all" } },
      secretVariables: { token: "GITHUB_TOKEN" },
      policy: { when: { all: [{}, { any: [{}, {}, {}, {}, {}] }, {}] }, guards: { cooldown: { for: "7d" } } },
      settingNames: {
        bufferSize: "bufferSize of films in retrigger.yaml",
        retryBackoff: "TRAINING_BACKOFF_SECONDS",
      },
    });
    expect(models.get("fraud")).toMatchObject({
      policy: GUIDE_POLICY,
      spreadMs: 600_000,
      trainer: { name: "mock" },
      source: { checks: { kind: "reported" }, buffer: { kind: "reported", unit: "rows" } },
    });
  });

  it("takes what a model leaves out from defaults, then the environment: `when` as a whole, guards one by one", () => {
    const { models } = parse(
      `
defaults:
  schedule: "off"
  source: { checks: { table: a.checks, columns: { score: value } }, buffer: { unit: events } }
  trainer: { github: { ref: main, workflow: shared.yml } }
  policy: { when: { maxAge: 30d }, guards: { cooldown: 7d, budget: { atMost: 4, per: 30d }, retryBackoff: off } }
models:
  books:
  films:
    source: { checks: { where: { model: films }, columns: { samples: n } }, buffer: reported }
    trainer: { github: { ref: films } }
    policy: { when: { driftAlerts: 2 }, guards: { budget: off, cooldown: { for: 1d, since: success } } }
  fraud: { schedule: "5 * * * *", trainer: mock, policy: { guards: { trainingInFlight: off } } }`,
      { ...GITHUB, DRIFT_LOOKBACK_HOURS: "24", GITHUB_WORKFLOW: "environment.yml" },
    );
    const [books, films, fraud] = [...models.values()];
    expect(books).toMatchObject({
      schedule: null,
      policy: {
        when: { maxAge: { atLeast: "30d" } },
        guards: { retryBackoff: "off", cooldown: { for: "7d" } },
      },
      trainer: { settings: { ref: "main", workflow: "shared.yml" } },
      source: {
        checks: { table: "a.checks", where: {} },
        buffer: { table: "ratings_buffer", unit: "events" },
      },
      settingNames: { maxAge: "maxAge of defaults in retrigger.yaml" },
    });
    expect(films?.policy.when).toEqual({ driftAlerts: { atLeast: 2, within: "7d" } });
    expect(films?.policy.guards).toMatchObject({
      cooldown: { for: "1d", since: "success" },
      retryBackoff: "off",
    });
    expect(films?.policy.guards).not.toHaveProperty("budget");
    expect(films).toMatchObject({
      trainer: { settings: { ref: "films", workflow: "shared.yml" } },
      source: {
        checks: { table: "a.checks", columns: { score: "value", samples: "n" }, where: { model: "films" } },
        buffer: { kind: "reported", unit: "events" },
      },
    });
    expect(fraud).toMatchObject({
      schedule: "5 * * * *",
      trainer: { name: "mock", settings: { workflow: "environment.yml" } },
      policy: { when: { maxAge: {} }, guards: { trainingInFlight: "off" } },
    });
  });

  it("is about the model default if it names none", () => {
    const { models } = parse("defaults: { schedule: off }");
    expect([...models.keys()]).toEqual(["default"]);
    expect(models.get("default")?.schedule).toBeNull();
  });

  it("may repeat a part by an anchor, or merge it", () => {
    const { models } = parse(`
models:
  a: &a { schedule: "off", policy: &p { guards: { cooldown: 2d } } }
  b: { <<: *a, spread: 1h }
  c: { policy: *p }`);
    expect(models.get("b")).toMatchObject({ schedule: null, spreadMs: 3_600_000 });
    expect(models.get("c")?.policy).toEqual(models.get("a")?.policy);
  });

  it("takes secrets from the variables that it names, and has them redacted", () => {
    const env = {
      FILMS_URL: "postgres://reader:hunter2@films.example/db",
      FILMS_SECRET: "a secret of films",
      FILMS_HOOK: "https://films:hunter3@jobs.example/train",
      PRICES_TOKEN: "token-of-prices",
    };
    const { models, secrets } = parse(
      `
models:
  films:
    source: { database: FILMS_URL }
    trainer: { webhook: { url: FILMS_HOOK, secret: FILMS_SECRET, outcome: accepted } }
  prices: { trainer: { github: { token: PRICES_TOKEN, owner: us, repo: prices, ref: 1.0 } } }`,
      env,
    );
    expect(models.get("films")?.source.database).toEqual({ variable: "FILMS_URL", url: env.FILMS_URL });
    expect(models.get("films")).toMatchObject({
      trainer: { settings: { url: env.FILMS_HOOK, secret: env.FILMS_SECRET } },
      secretVariables: { url: "FILMS_HOOK", secret: "FILMS_SECRET" },
    });
    // A number may stand for text, as it is written.
    expect(models.get("prices")?.trainer.settings).toMatchObject({ token: "token-of-prices", ref: "1.0" });
    expect([...secrets.values()].toSorted()).toEqual([
      "a secret of films",
      "hunter2",
      "hunter3",
      "token-of-prices",
    ]);
  });
});

describe("a faulty file", () => {
  const env = {
    BAD_URL: "mysql://u:hunter2@h/db",
    OTHER_URL: "postgres://other.example/db",
    SHORT_SECRET: "123",
    LONG_SECRET: "123456789",
  };

  it.each(FAULTY_FILES)("with %s is refused", (_, text, faults) => {
    expect(faultsOf(text, env)).toEqual(faults);
  });

  it("shows every fault at once, in the order of the file, beside those of the environment", () => {
    const text =
      "models:\n  films:\n    policy: { when: { bufferSize: 50k } }\n    spread: 2d\n  bad name:\n";
    writeFileSync(path, text);
    expect(() => parseConfig({ ...SERVERS, PORT: "x", RETRIGGER_CONFIG: path })).toThrow(
      [
        "1 fault(s) in the settings:",
        '  - PORT is "x": must be a whole number from 0 to 65535',
        `3 fault(s) in ${path}:`,
        '  - models.films.policy.when.bufferSize: expected a whole number, got "50k" (line 3)',
        '  - models.films.spread: expected a duration from 0s to 1d, got "2d" (line 4)',
        '  - models."bad name": expected 1 to 100 letters, digits, dots, dashes or underscores, the first a letter or digit (line 5)',
      ].join("\n"),
    );
  });

  it("names the fault of the defaults once, however many models there are", () => {
    const models = Array.from({ length: 50 }, (_, index) => `  m${index}:`).join("\n");
    expect(faultsOf(`defaults: { trainer: github }\nmodels:\n${models}`)).toHaveLength(3);
    expect(faultsOf(`defaults: { policy: { when: { bufferSize: x } } }\nmodels:\n${models}`)).toHaveLength(1);
  });

  it("has a message of one page, and every fault for `config check`", () => {
    const models = Array.from({ length: 500 }, (_, index) => `  m${index}: { spread: x }`).join("\n");
    const text = `models:\n${models}`;
    expect(faultsOf(text)).toHaveLength(500);
    expect(() => parse(text)).toThrow("and 460 more: npx retrigger config check");
  });

  it("shows no secret, wherever it slipped to", () => {
    const slips = [
      "source: { database: postgres://u:hunter2@h/db }",
      "source: postgres://u:hunter2@h/db",
      "trainer: { github: { token: hunter2_abcdefgh } }",
      "trainer: { webhook: { url: 'https://u:hunter2@h/x', secret: hunter2-x } }",
      "trainer: hunter2/abcdefghijklmnopqrstuvwxyz",
      "trainer: { github: hunter2 }",
      "trainer: { command: { command: hunter2 } }",
      "source: { database: BAD_URL }",
    ];
    for (const slip of slips) {
      const faults = faultsOf(`models: { films: { ${slip} } }`, env).join("\n");
      expect(faults, slip).not.toBe("");
      expect(faults, slip).not.toContain("hunter2");
    }
  });

  it("that cannot be read says why", () => {
    const read = (file: string) => {
      try {
        parseConfig({ ...SERVERS, RETRIGGER_CONFIG: file });
      } catch (error) {
        return error instanceof ConfigError ? error.faults.join() : error;
      }
      return null;
    };
    expect(read(directory)).toBe(`${directory}: is a directory: name the file in RETRIGGER_CONFIG`);
    const missing = join(directory, "none.yaml");
    expect(read(missing)).toBe(
      `${missing}: there is no such file (${missing}): create it, or correct RETRIGGER_CONFIG`,
    );
    // Root may read everything.
    if (process.getuid?.() === 0) return;
    const locked = join(directory, "locked.yaml");
    writeFileSync(locked, "models: { a: }");
    chmodSync(locked, 0);
    expect(read(locked)).toContain("this user may not read it");
  });
});

describe("a variable that the file overrides", () => {
  const file = "models: { films: { policy: { when: { driftAlerts: 1 } }, schedule: off }, books: }";

  it("is noted if it was set for this command", () => {
    expect(parse(file, { MIN_BUFFER_SIZE: "1", SCHEDULE: "off", TRAINER: "mock" }).notes).toEqual([
      `SCHEDULE=off has no effect on films: models.films.schedule in ${path} decides`,
      `MIN_BUFFER_SIZE=1 has no effect on films: models.films.policy.when in ${path} decides`,
    ]);
  });

  it("is not noted if it comes from .env", () => {
    writeFileSync(path, file);
    const env = { ...SERVERS, MIN_BUFFER_SIZE: "1", RETRIGGER_CONFIG: path };
    expect(parseConfig({ ...env, [FROM_DOT_ENV]: new Set(["MIN_BUFFER_SIZE"]) }).notes).toEqual([]);
  });

  it("is noted once for many models, and a secret without its value", () => {
    const text = "defaults: { trainer: { github: { token: OTHER } } }\nmodels: { a: , b: , c: , d: }";
    expect(parse(text, { ...GITHUB, OTHER: "other-token" }).notes).toEqual([
      `GITHUB_TOKEN has no effect on any model: defaults.trainer.github.token in ${path} decides`,
    ]);
  });
});
