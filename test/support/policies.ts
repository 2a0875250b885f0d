import { randomBytes } from "node:crypto";
import { mkdir, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { vi } from "vitest";
import { COMMANDS } from "../../src/cli/commands.ts";
import { type Config, parseConfig } from "../../src/config/config.ts";
import { messageOf } from "../../src/core/errors.ts";
import { type Receiver, startReceiver } from "./receiver.ts";
import { createWorld, type World } from "./world.ts";
import { listKeys } from "./redis-keys.ts";

export const CHECKS_TABLE = "monitoring.drift_log";
const BUFFER_TABLE = "monitoring.arrivals";

const SHARED_TABLES = `CREATE SCHEMA monitoring;
  CREATE TABLE ${CHECKS_TABLE} (id SERIAL PRIMARY KEY, model TEXT NOT NULL, metric TEXT, value FLOAT, limit_value FLOAT,
    fired BOOLEAN, n INTEGER, created_at TIMESTAMPTZ NOT NULL);
  CREATE INDEX ON ${CHECKS_TABLE} (model, created_at);
  CREATE TABLE ${BUFFER_TABLE} (model TEXT NOT NULL, loaded_at TIMESTAMPTZ NOT NULL);`;

/** A world whose models are described by a YAML file, each reading its own rows of shared source tables. */
export interface PolicyWorld extends World {
  /** Runs a command in this process. `failure`: what it printed or with which code it would exit; null if it succeeded. */
  run(...args: string[]): Promise<{ stdout: string; failure: string | null }>;
  /** The same with other settings. */
  runWith(settings: Record<string, string>, ...args: string[]): ReturnType<PolicyWorld["run"]>;
  /** Describes the models anew, for the services that are started from now on. */
  describe(models: Models): Promise<Pick<Config, "models">>;
}

/** The models of the YAML file, without their source. */
export type Models = Readonly<Record<string, object>>;

export async function createPolicyWorld(
  models: Models,
  settings: Record<string, string> = {},
): Promise<PolicyWorld> {
  const path = join(process.cwd(), ".data", `policies-${randomBytes(6).toString("hex")}.yaml`);
  // Without servers of its own, the tests have made no such directory yet.
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, describeModels(models));
  const world = await createWorld({ settings: { RETRIGGER_CONFIG: path, ...settings }, isEmpty: true });
  await world.sql(SHARED_TABLES);
  return {
    ...world,
    run: (...args) => runCommand(world.settings, args),
    runWith: (changed, ...args) => runCommand(changed, args),
    async describe(changed) {
      await writeFile(path, describeModels(changed));
      return { models: parseConfig(world.settings).models };
    },
    async close() {
      await world.close();
      await rm(path);
    },
  };
}

/** Such a world whose notifications go to Slack, for which a receiver stands. */
export async function createNotifiedWorld(models: Models): Promise<{ world: PolicyWorld; slack: Receiver }> {
  const slack = await startReceiver();
  const world = await createPolicyWorld(models, {
    SLACK_WEBHOOK_URL: `${slack.url}/services/T0/B0/token-of-slack`,
  });
  await world.startApp();
  return { world, slack };
}

/** The texts that were sent to Slack. */
export function listTexts({ received }: Receiver): string[] {
  return received.map(({ body }) => (JSON.parse(body) as { text: string }).text);
}

/** JSON is YAML. */
function describeModels(models: Models): string {
  const columns = {
    checks: {
      checkedAt: "created_at",
      feature: "metric",
      score: "value",
      threshold: "limit_value",
      triggered: "fired",
      samples: "n",
      notes: null,
    },
    buffer: { batch: null, time: null, ingestedAt: "loaded_at" },
  };
  const described = Object.entries(models).map(([model, own]) => {
    const where = { model };
    const source = {
      checks: { table: CHECKS_TABLE, columns: columns.checks, where },
      buffer: { table: BUFFER_TABLE, columns: columns.buffer, where, unit: "events" },
    };
    return [model, { source, ...own }];
  });
  return JSON.stringify({ models: Object.fromEntries(described) as object });
}

/** Adds one drift check of a model; by default an alert of one hour ago. `age` is an SQL interval. */
export async function addCheckOf(
  world: Pick<World, "sql">,
  model: string,
  check: Partial<{
    age: string;
    feature: string;
    score: number;
    threshold: number;
    fired: boolean;
    samples: number;
  }> = {},
): Promise<void> {
  const {
    age = "1 hour",
    feature = "ks",
    score = 0.1,
    threshold = 0.05,
    fired = true,
    samples = 1_000,
  } = check;
  await world.sql(
    `INSERT INTO ${CHECKS_TABLE} (model, metric, value, limit_value, fired, n, created_at)
     VALUES ($1, $2, $3, $4, $5, $6, now() - $7::interval)`,
    [model, feature, score, threshold, fired, samples, age],
  );
}

/** Removes the drift checks of a model. */
export async function removeChecksOf(world: Pick<World, "sql">, model: string): Promise<void> {
  await world.sql(`DELETE FROM ${CHECKS_TABLE} WHERE model = $1`, [model]);
}

/** Puts rows into the buffer of a model. `age` is an SQL interval. */
export async function addRowsOf(
  world: Pick<World, "sql">,
  model: string,
  count: number,
  age = "0 s",
): Promise<void> {
  await world.sql(
    `INSERT INTO ${BUFFER_TABLE} SELECT $1, now() - $3::interval FROM generate_series(1, $2::int)`,
    [model, count, age],
  );
}

/** Empties the buffer of a model. */
export async function removeRowsOf(world: Pick<World, "sql">, model: string): Promise<void> {
  await world.sql(`DELETE FROM ${BUFFER_TABLE} WHERE model = $1`, [model]);
}

/** A model's decisions, oldest first. */
export function listDecisions(world: Pick<World, "sql">, model: string) {
  return world.sql<{
    id: number;
    cause: string;
    decision: string;
    reason: string;
    reason_codes: string[];
    next_look_at: Date | null;
    forced: { by: string; reason: string } | null;
    explanation: { nearestFlips: { text: string }[]; driftRuns: { state: string } | null };
    state: string | null;
    drift_score: number | null;
    takenAt: number;
  }>(
    `SELECT decision.*, dispatch.state, extract(epoch FROM taken_at)::float8 * 1000 AS "takenAt" FROM retraining_decisions AS decision
     LEFT JOIN retraining_dispatches AS dispatch ON decision_id = decision.id WHERE model = $1 ORDER BY decision.id`,
    [model],
  );
}

/** Deletes what FLUSHALL would delete; the keys of other tests stay. */
export async function emptyRedis({ redis, config }: Pick<World, "redis" | "config">): Promise<void> {
  const keys = await listKeys(redis, `${config.redisPrefix}:*`);
  if (keys.length > 0) await redis.del(keys);
}

/** Runs a command with the settings of the world as its environment. */
async function runCommand(
  settings: Record<string, string>,
  [name = "", ...args]: readonly string[],
): Promise<{ stdout: string; failure: string | null }> {
  const before = { ...process.env };
  const lines: string[] = [];
  const log = vi.spyOn(console, "log").mockImplementation((line: string) => void lines.push(line));
  const note = vi.spyOn(console, "error").mockImplementation(() => {});
  const create = COMMANDS.find((factory) => factory().name() === name);
  if (!create) throw new Error(`no command ${name}`);
  Object.assign(process.env, settings);
  let failure: string | null = null;
  try {
    const command = create()
      .exitOverride()
      .configureOutput({ writeErr: () => {} });
    await command.parseAsync([...args], { from: "user" });
    if (process.exitCode) failure = `exit code ${process.exitCode}`;
  } catch (error) {
    failure = messageOf(error);
  } finally {
    process.exitCode = undefined;
    for (const key of Object.keys(process.env)) if (!(key in before)) delete process.env[key];
    Object.assign(process.env, before);
    log.mockRestore();
    note.mockRestore();
  }
  return { stdout: lines.join("\n"), failure };
}
