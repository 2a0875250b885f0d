import type { ModelConfig } from "../config/model-config.ts";
import { findModel } from "../config/find-model.ts";
import { messageOf, SourceError } from "../core/errors.ts";
import { needsArrivals } from "../core/policy.ts";
import type { CountableTable, InstalledCounter } from "../postgres/counters/inspect.ts";
import type { Difference } from "../postgres/counters/verify.ts";
import type { Database } from "../postgres/database.ts";
import { locateParts } from "../postgres/source-tables.ts";

/** A buffer table, or a counter whose table no model names any more. */
export interface TableStatus {
  /** As the settings name it. */
  table: string;
  /** The models that count it. */
  models: string[];
  /** Those of them that count its rows all the same, because they need to know when rows arrived. */
  countedByRow: string[];
  counter: InstalledCounter | null;
  /** Why it cannot have a counter, as a clause; null if it can. */
  uncountable: string | null;
}

type Models = ReadonlyMap<string, ModelConfig>;
type Store = Pick<
  Database,
  "findCountable" | "listCounters" | "installCounter" | "recountCounter" | "removeCounter" | "verifyCounter"
>;

/** The buffer tables of the models, or of one, with their counters; each table once. */
export async function listCounterStatus(
  models: Models,
  database: Store,
  model: string | null,
): Promise<TableStatus[]> {
  const counters = await database.listCounters();
  const found = await findTables(models, database, counters, model);
  const tables = found.map(({ status }) => status);
  if (model !== null) return tables;
  const known = new Set(tables.map(({ counter }) => counter?.id));
  const others = counters.filter(({ id }) => !known.has(id));
  // Of a table that is away, or that cannot be counted at the moment, all that is known is its name.
  const listUsers = (name: string): string[] =>
    found.flatMap(({ status, target, isInOwnDatabase }) =>
      target === null && isInOwnDatabase && status.table === name ? status.models : [],
    );
  return [
    ...tables,
    ...others.map((counter) => ({
      table: counter.name,
      models: listUsers(counter.name),
      countedByRow: [],
      counter,
      uncountable: null,
    })),
  ];
}

export interface Installed {
  table: string;
  outcome: "installed" | "repaired" | "recounted" | "uncountable" | "unreadable";
  /** Why it cannot have a counter, or cannot be read; null for every other outcome. */
  reason: string | null;
  counter: InstalledCounter | null;
}

/** Installs a counter on each buffer table that can have one and has none that is sound; counts the others once more. */
export async function installCounters(
  models: Models,
  database: Store,
  model: string | null,
  onWait: (text: string) => void,
): Promise<Installed[]> {
  const installed: Installed[] = [];
  const found = await findTables(models, database, await database.listCounters(), model);
  for (const { status, target, isUnreadable } of found) {
    const { table, counter, uncountable } = status;
    if (target === null) {
      const outcome = isUnreadable ? "unreadable" : "uncountable";
      installed.push({ table, outcome, reason: uncountable, counter });
      continue;
    }
    if (counter !== null && counter.problem === null) {
      // It may have missed a change while something was wrong that was undone since.
      const recounted = await database.recountCounter(counter);
      installed.push({ table, outcome: "recounted", reason: null, counter: recounted });
      continue;
    }
    if (counter !== null) await database.removeCounter(counter, onWait);
    const own = await database.installCounter(target, onWait);
    const outcome = counter === null ? "installed" : "repaired";
    installed.push({ table, outcome, reason: null, counter: own });
  }
  return installed;
}

/** Removes the counter of one model's table, every counter there is, or those that no model uses. */
export async function removeCounters(
  models: Models,
  database: Store,
  which: { model: string | null } | { unused: true },
  onWait: (text: string) => void,
): Promise<InstalledCounter[]> {
  const isUnused = "unused" in which;
  const status = await listCounterStatus(models, database, isUnused ? null : which.model);
  const counters = status.flatMap(({ counter, models: users }) =>
    counter === null || (isUnused && users.length > 0 && counter.problem !== "dropped") ? [] : [counter],
  );
  for (const counter of counters) await database.removeCounter(counter, onWait);
  return counters;
}

export interface Verified {
  counter: InstalledCounter;
  /** The models that use it. */
  models: string[];
  differences: Difference[];
}

/** Compares the counters of the models' tables with their rows. One that is not sound is not used, and not compared. */
export async function verifyCounters(
  models: Models,
  database: Store,
  model: string | null,
): Promise<Verified[]> {
  const status = await listCounterStatus(models, database, model);
  const verified: Verified[] = [];
  for (const { counter, models: users } of status) {
    if (counter === null) continue;
    const differences = counter.problem === null ? await database.verifyCounter(counter) : [];
    verified.push({ counter, models: users, differences });
  }
  return verified;
}

interface FoundTable {
  status: TableStatus;
  target: CountableTable | null;
  /** Whether the settings name a table or column that does not exist. */
  isUnreadable: boolean;
  isInOwnDatabase: boolean;
}

async function findTables(
  models: Models,
  database: Store,
  counters: readonly InstalledCounter[],
  model: string | null,
): Promise<FoundTable[]> {
  const wanted = model === null ? [...models] : [[model, findModel(models, model)] as const];
  const tables = new Map<string, FoundTable>();
  for (const [name, config] of wanted) {
    const { table, uncountable, ...rest } = await findTable(name, config, database);
    const { target } = rest;
    const { batch, time } = target?.columns ?? {};
    const key = JSON.stringify([table, uncountable, target?.oid, batch?.name, time?.name]);
    const counter =
      counters.find(
        (each) =>
          each.oid === target?.oid &&
          each.batchColumn === (batch?.name ?? null) &&
          each.timeColumn === (time?.name ?? null),
      ) ?? null;
    const status = { table, models: [], countedByRow: [], counter, uncountable };
    const known: FoundTable = tables.get(key) ?? { status, ...rest };
    tables.set(key, known);
    known.status.models.push(name);
    if (target !== null && isCountedByRow(config, target)) known.status.countedByRow.push(name);
  }
  return [...tables.values()];
}

async function findTable(
  model: string,
  config: ModelConfig,
  database: Store,
): Promise<Pick<TableStatus, "table" | "uncountable"> & Omit<FoundTable, "status">> {
  const { buffer } = config.source;
  const table = buffer.kind === "table" ? buffer.table : "reports to Retrigger";
  const isInOwnDatabase = locateParts(config.source).own.includes("buffer");
  const none = (uncountable: string, isUnreadable = false) => ({
    table,
    target: null,
    uncountable,
    isUnreadable,
    isInOwnDatabase,
  });
  if (!isInOwnDatabase) return none("it is in a database of its own, and counters are in Retrigger's");
  try {
    const found = await database.findCountable(model, config);
    if (typeof found === "string") return none(found);
    return { table, target: found, uncountable: null, isUnreadable: false, isInOwnDatabase };
  } catch (error) {
    if (error instanceof SourceError) return none(messageOf(error), true);
    throw error;
  }
}

/** Whether a model needs the rows since its last training: only the rows themselves say when they arrived. */
function isCountedByRow({ source, policy, shadow }: ModelConfig, { columns }: CountableTable): boolean {
  if (source.buffer.since !== null) return true;
  const hasArrival = columns.ingestedAt !== undefined || columns.time !== undefined;
  return hasArrival && [policy, shadow].some((each) => each && needsArrivals(each));
}
