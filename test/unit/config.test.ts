import { describe, expect, it } from "vitest";
import { parseConfig, parseConfigWithoutRedis } from "../../src/config/config.ts";
import { FROM_DOT_ENV } from "../../src/config/environment.ts";
import { ConfigError } from "../../src/core/errors.ts";
import { GUIDE_POLICY } from "../support/evidence.ts";

const SERVERS = { DATABASE_URL: "postgres://localhost/db", REDIS_URL: "redis://localhost:6379" };

function faultsOf(env: Record<string, string>): readonly string[] {
  try {
    parseConfig(env);
  } catch (error) {
    if (error instanceof ConfigError) return error.faults;
    throw error;
  }
  return [];
}

describe("the settings", () => {
  it("have the guide's thresholds by default", () => {
    const config = parseConfig(SERVERS);
    expect(config.models.get("default")).toEqual({
      policy: GUIDE_POLICY,
      shadow: null,
      settingNames: expect.objectContaining({ bufferSize: "MIN_BUFFER_SIZE" }) as object,
      trainer: {
        name: "mock",
        settings: expect.objectContaining({ workflow: "model_training.yml", ref: "main" }) as object,
      },
      secretVariables: {},
      source: {
        checks: { kind: "table", table: "drift_alerts", columns: {}, where: {} },
        buffer: {
          kind: "table",
          table: "ratings_buffer",
          columns: {},
          where: {},
          unit: "ratings",
          since: null,
        },
        database: null,
      },
      schedule: "0 6 * * *",
      spreadMs: 0,
      expectDriftRunEveryMs: null,
      outcomes: { view: null, mlflow: null },
    });
    expect(config.notes).toEqual([]);
    expect(config).toMatchObject({
      host: "127.0.0.1",
      port: 3000,
      trainer: { name: "mock", settings: { workflow: "model_training.yml", ref: "main" } },
      role: "all",
      timeZone: "UTC",
    });
  });

  it("accept the DAG's own variable for the database", () => {
    const config = parseConfig({
      NEON_CONNECTION_STRING: "postgresql://u:p@neon.example/db",
      REDIS_URL: SERVERS.REDIS_URL,
    });
    expect(config.databaseUrl).toBe("postgresql://u:p@neon.example/db");
  });

  it("are refused with every fault at once", () => {
    const faults = faultsOf({
      MIN_BUFFER_SIZE: "-1",
      DRIFT_LOOKBACK_HOURS: "a week",
      MIN_ALERTS_TRIGGERED: "0",
      SCHEDULE: "every day",
      TRAINER: "sagemaker",
      RETRIGGER_GUARD: "perhaps",
      PORT: "70000",
      SOURCE_TIME_ZONE: "Mars/Olympus",
      REDIS_URL: "http://localhost",
      MIN_BUFER_SIZE: "3",
    });
    const names = faults.map((fault) => fault.split(" ")[0]);
    expect(new Set(names)).toEqual(
      new Set([
        "MIN_BUFFER_SIZE",
        "DRIFT_LOOKBACK_HOURS",
        "MIN_ALERTS_TRIGGERED",
        "SCHEDULE",
        "TRAINER",
        "RETRIGGER_GUARD",
        "PORT",
        "SOURCE_TIME_ZONE",
        "REDIS_URL",
        "DATABASE_URL",
      ]),
    );
    expect(names).toHaveLength(10);
  });

  it.each(["MIN_BUFFER_SIZE", "DRIFT_LOOKBACK_HOURS", "MIN_ALERTS_TRIGGERED", "PORT", "LOCK_TTL_MS"])(
    "require a whole number for %s",
    (name) => {
      for (const value of ["-5", "1.5", "1e3", "0x10", "NaN", "50,000", "99999999999999999999"]) {
        expect(faultsOf({ ...SERVERS, [name]: value }), `${name}=${value}`).toHaveLength(1);
      }
    },
  );

  it("suggest the setting that a misspelt one means", () => {
    expect(faultsOf({ ...SERVERS, MIN_BUFER_SIZE: "3" })).toEqual([
      "MIN_BUFER_SIZE is not a setting: did you mean MIN_BUFFER_SIZE?",
    ]);
    expect(faultsOf({ ...SERVERS, RETRIGGER_MIN_BUFFER_SIZE: "3", RETRIGGER_SPEED: "3" })).toEqual([
      "RETRIGGER_MIN_BUFFER_SIZE is not a setting: did you mean MIN_BUFFER_SIZE?",
      "RETRIGGER_SPEED is not a setting: see docs/settings.md",
    ]);
    expect(faultsOf({ ...SERVERS, HOME: "/", PATH: "/bin", HOSTNAME: "x", REDIS_URI: "x" })).toEqual([]);
  });

  it("suggest more for a variable that only .env sets, which is meant for this program", () => {
    const env = { ...SERVERS, PROT: "3", [FROM_DOT_ENV]: new Set(["PROT"]) };
    expect(() => parseConfig(env)).toThrow("PROT in .env is not a setting: did you mean PORT?");
    expect(faultsOf({ ...SERVERS, PROT: "3" })).toEqual([]);
  });

  it("take an empty variable as one that is not set", () => {
    const empty = {
      TRAINER: "",
      DATABASE_URL: "",
      MIN_BUFFER_SIZE: " ",
      RETRIGGER_CONFIG: "",
      MIN_BUFER_SIZE: "",
    };
    const config = parseConfig({
      ...SERVERS,
      ...empty,
      NEON_CONNECTION_STRING: "postgres://neon.example/db",
    });
    expect(config.databaseUrl).toBe("postgres://neon.example/db");
    expect(config.trainer.name).toBe("mock");
    expect(faultsOf({ ...SERVERS, REDIS_URL: "" })).toEqual([
      "REDIS_URL is not set: set it to the Redis server, such as redis://localhost:6379",
    ]);
  });

  it.each([
    [
      { TRAINER: "github" },
      [
        "GITHUB_REPO_OWNER is not set: TRAINER=github needs the owner of the repository",
        "GITHUB_REPO_NAME is not set: TRAINER=github needs the name of the repository",
        "GITHUB_TOKEN is not set: TRAINER=github needs a token (or GITHUB_APP_ID and GITHUB_APP_PRIVATE_KEY)",
      ],
    ],
    [
      { GITHUB_EXTRA_INPUTS: '{"reason":"x"}' },
      ['GITHUB_INPUT_NAMES and GITHUB_EXTRA_INPUTS name the input "reason" twice'],
    ],
    [
      { GITHUB_EXTRA_INPUTS: '{"epochs":10}', TRAINER: "sagemaker" },
      [
        'TRAINER is "sagemaker": must be mock, github, webhook or command',
        "GITHUB_EXTRA_INPUTS must be a JSON object of strings",
      ],
    ],
  ] as [Record<string, string>, string[]][])("say what is wrong with the trainer of %o", (env, faults) => {
    expect(faultsOf({ ...SERVERS, ...env })).toEqual(faults);
  });

  it.each([
    "+02:00",
    "+02",
    "-0330",
    "GMT+2",
    "UTC+02:00",
    "UTC-2",
    "<+02>-2",
    "CET",
    "met",
    "IST",
    "PST",
    "SystemV/PST8",
    "Z",
  ])("refuse the time zone %s, which Postgres would read differently or not at all", (zone) => {
    expect(faultsOf({ ...SERVERS, SOURCE_TIME_ZONE: zone })).toEqual([
      `SOURCE_TIME_ZONE is "${zone}": must be an IANA time zone such as UTC or Europe/Paris, not an offset or abbreviation`,
    ]);
  });

  it.each([
    "UTC",
    "utc",
    "GMT",
    "Etc/GMT-2",
    "Europe/Paris",
    "europe/paris",
    "US/Eastern",
    "EST5EDT",
    "Japan",
    "GB-Eire",
  ])("take the IANA time zone %s as it is written", (zone) => {
    expect(parseConfig({ ...SERVERS, SOURCE_TIME_ZONE: zone }).timeZone).toBe(zone);
  });

  it.each(["6", "H 6 * * *", "@daily", "* * * * * * *", "61 * * * *"])(
    "refuse the schedule %s",
    (schedule) => {
      expect(faultsOf({ ...SERVERS, SCHEDULE: schedule })).toHaveLength(1);
    },
  );

  it.each(["0 0 31 4,6 *", "0 0 31 4 *", "0 0 30 2 *", "0 0 0 31 2,4,6,9,11 *"])(
    "refuse the schedule %s because it never fires",
    (schedule) => {
      expect(faultsOf({ ...SERVERS, SCHEDULE: schedule })).toEqual([
        `SCHEDULE is "${schedule}": must fire at least once: none of its months has that day. Correct it, or set it to off`,
      ]);
    },
  );

  it.each(["0 0 29 2 *", "0 0 31 4 1", "0 0 L 2 *", "0 0 31 */2 *", "0 0 * * 1#5", "*/5 * * * * *"])(
    "accept the schedule %s, however rarely it fires",
    (schedule) => {
      expect(parseConfig({ ...SERVERS, SCHEDULE: schedule }).models.get("default")?.schedule).toBe(schedule);
    },
  );

  it("refuse a URL whose password cannot be decoded, and ignore the variables that Kubernetes sets", () => {
    expect(faultsOf({ ...SERVERS, REDIS_URL: "redis://u:p%ss@host" })).toHaveLength(1);
    expect(
      faultsOf({ ...SERVERS, RETRIGGER_SERVICE_HOST: "10.0.0.1", RETRIGGER_PORT: "tcp://10.0.0.1:3000" }),
    ).toEqual([]);
  });

  it("are refused without REDIS_URL by commands that need Redis; commands that do not still refuse an invalid one", () => {
    const { REDIS_URL: _, ...settings } = SERVERS;
    expect(faultsOf(settings)).toEqual([
      "REDIS_URL is not set: set it to the Redis server, such as redis://localhost:6379",
    ]);
    expect(parseConfigWithoutRedis(settings).databaseUrl).toBe(SERVERS.DATABASE_URL);
    expect(() => parseConfigWithoutRedis({ ...SERVERS, REDIS_URL: "http://localhost" })).toThrow("REDIS_URL");
  });

  it.each([
    { DATABASE_URL: "postgres:/u:hunter2@db.example/ml" },
    { DATABASE_URL: "postgresql:u:hunter2@db.example/ml" },
    { DATABASE_URL: "postgres:///u:hunter2@db.example/ml" },
    { REDIS_URL: "redis:/:hunter2@cache.example:6379" },
  ])("reject %o, whose login would be read as part of its path", (env) => {
    const faults = faultsOf({ ...SERVERS, ...env });
    expect(faults).toHaveLength(1);
    expect(faults[0]).toContain("must be a URL that starts with");
    expect(faults[0]).not.toContain("hunter2");
  });

  it("never repeat a password", () => {
    const faults = faultsOf({ DATABASE_URL: "mysql://u:hunter2@h/db", REDIS_URL: "redis:hunter2" });
    expect(faults.join()).not.toContain("hunter2");
  });
});

describe("the settings of a replicated Redis", () => {
  const [CLUSTER, SENTINELS] = ["redis-1:6379, redis-2:6379", "sentinel-1:26379,[::1]:26380"];
  const without = { DATABASE_URL: SERVERS.DATABASE_URL };

  it("name the nodes or the sentinels, and need no REDIS_URL", () => {
    expect(parseConfig({ ...without, REDIS_CLUSTER_NODES: CLUSTER })).toMatchObject({
      redisUrl: "redis://redis-1:6379",
      redisClusterNodes: [
        { host: "redis-1", port: 6379 },
        { host: "redis-2", port: 6379 },
      ],
    });
    expect(parseConfig({ ...without, REDIS_SENTINELS: SENTINELS })).toMatchObject({
      redisSentinels: [
        { host: "sentinel-1", port: 26379 },
        { host: "::1", port: 26380 },
      ],
      redisSentinelMaster: "mymaster",
    });
  });

  it.each([
    [{ REDIS_CLUSTER_NODES: CLUSTER, REDIS_SENTINELS: SENTINELS }, "are both set"],
    [{ REDIS_CLUSTER_NODES: "redis-1" }, "REDIS_CLUSTER_NODES must be servers as host:port"],
    [{ REDIS_SENTINELS: "a:1,b:70000" }, "REDIS_SENTINELS must be servers as host:port"],
    [
      { REDIS_CLUSTER_NODES: CLUSTER, REDIS_URL: "redis://localhost" },
      "REDIS_URL names the host localhost, which is not in REDIS_CLUSTER_NODES: write redis-1 there",
    ],
    [
      { REDIS_SENTINELS: SENTINELS, REDIS_URL: "redis://localhost" },
      "REDIS_URL names the host localhost, which is not in REDIS_SENTINELS",
    ],
    [
      { REDIS_CLUSTER_NODES: CLUSTER, REDIS_URL: "redis://redis-2/3" },
      "REDIS_URL names the database 3: a cluster has only database 0",
    ],
  ])("are refused if they contradict each other: %j", (settings, fault) => {
    expect(faultsOf({ ...without, ...settings })).toEqual([expect.stringContaining(fault)]);
  });

  it("take the login from a REDIS_URL that names one of the servers or the master", () => {
    for (const REDIS_URL of ["rediss://u:p@mymaster", "rediss://u:p@sentinel-1", "rediss://u:p@[::1]:1"])
      expect(faultsOf({ ...without, REDIS_SENTINELS: SENTINELS, REDIS_URL })).toEqual([]);
  });

  it("keep a password of the sentinels secret, and a login that was written into a list", () => {
    const { secrets } = parseConfig({
      ...without,
      REDIS_SENTINELS: SENTINELS,
      REDIS_SENTINEL_PASSWORD: "hunter2hunter2",
    });
    expect(secrets.get("REDIS_SENTINEL_PASSWORD")).toBe("hunter2hunter2");
    expect(faultsOf({ ...without, REDIS_CLUSTER_NODES: "u:hunter2@redis-1:6379" }).join()).not.toContain(
      "hunter2",
    );
  });
});
