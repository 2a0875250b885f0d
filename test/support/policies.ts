import { vi } from "vitest";
import { COMMANDS } from "../../src/cli/commands.ts";
import type { Config, ModelConfig } from "../../src/config/config.ts";
import { messageOf } from "../../src/core/errors.ts";
import type { Fault } from "../../src/core/fields.ts";
import { GUIDE_POLICY, parsePolicy, type Policy } from "../../src/core/policy.ts";
import type { World } from "./world.ts";

/** Parses a policy as the YAML file gives it. @throws Error that names every fault. */
export function policyFrom(value: unknown): Policy {
  const faults: Fault[] = [];
  const policy = parsePolicy(value, GUIDE_POLICY, [], faults);
  if (faults.length > 0)
    throw new Error(faults.map(({ path, message }) => `${path.join(".")}: ${message}`).join("; "));
  return policy;
}

/** The tables that `withModels` gives every model as its source. */
const CHECKS_TABLE = "monitoring.drift_log";
const BUFFER_TABLE = "monitoring.arrivals";

/** Creates the tables of `withModels`, which all models share. */
export async function createSharedSources(world: Pick<World, "sql">): Promise<void> {
  await world.sql(`CREATE SCHEMA monitoring;
    CREATE TABLE ${CHECKS_TABLE} (id SERIAL PRIMARY KEY, model TEXT NOT NULL, metric TEXT, value FLOAT, limit_value FLOAT,
      fired BOOLEAN, n INTEGER, created_at TIMESTAMPTZ NOT NULL);
    CREATE INDEX ON ${CHECKS_TABLE} (model, created_at);
    CREATE TABLE ${BUFFER_TABLE} (model TEXT NOT NULL, loaded_at TIMESTAMPTZ NOT NULL);`);
}

/** What a test says about a model; the rest is as without any settings. */
export interface TestModel extends Partial<Omit<ModelConfig, "policy">> {
  policy: unknown;
}

/** Changes of the settings: these models, each reading its own rows of the shared tables. */
export function withModels(
  { config }: Pick<World, "config">,
  models: Readonly<Record<string, TestModel>>,
): Pick<Config, "models"> {
  const base = config.models.get("default");
  if (!base) throw new Error("no default model");
  return {
    models: new Map(
      Object.entries(models).map(([model, { policy, ...changes }]) => [
        model,
        { ...base, source: sourceOf(model), ...changes, policy: policyFrom(policy) },
      ]),
    ),
  };
}

function sourceOf(model: string): ModelConfig["source"] {
  const where = { model };
  return {
    checks: {
      kind: "table",
      table: CHECKS_TABLE,
      columns: {
        checkedAt: "created_at",
        feature: "metric",
        score: "value",
        threshold: "limit_value",
        triggered: "fired",
        samples: "n",
        notes: null,
      },
      where,
    },
    buffer: {
      kind: "table",
      table: BUFFER_TABLE,
      columns: { batch: null, time: null, ingestedAt: "loaded_at" },
      where,
      unit: "events",
      since: null,
    },
    database: null,
  };
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
    takenAt: number;
  }>(
    `SELECT decision.*, dispatch.state, extract(epoch FROM taken_at)::float8 * 1000 AS "takenAt" FROM retraining_decisions AS decision
     LEFT JOIN retraining_dispatches AS dispatch ON decision_id = decision.id WHERE model = $1 ORDER BY decision.id`,
    [model],
  );
}

/** Deletes what FLUSHALL would delete; the keys of other tests stay. */
export async function emptyRedis({ redis, config }: Pick<World, "redis" | "config">): Promise<void> {
  const keys = await redis.keys(`${config.redisPrefix}:*`);
  if (keys.length > 0) await redis.del(keys);
}

/** Runs a command in this process, with the settings of the world as its environment. `failure`: what it would exit with. */
export async function runCommand(
  { settings }: Pick<World, "settings">,
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
