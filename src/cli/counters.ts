import { Command, Option } from "commander";
import { type ConfigWithoutRedis, parseConfigWithoutRedis } from "../config/config.ts";
import { COUNTER_PROBLEMS, REMOVE_UNUSED, REPAIR_COUNTER } from "../core/counter.ts";
import { formatCount, toPlain } from "../core/format.ts";
import { wrapLine } from "../core/report/wrap.ts";
import type { InstalledCounter } from "../postgres/counters/inspect.ts";
import type { Difference } from "../postgres/counters/verify.ts";
import type { Database } from "../postgres/database.ts";
import {
  type Installed,
  installCounters,
  listCounterStatus,
  removeCounters,
  type TableStatus,
  type Verified,
  verifyCounters,
} from "../use-cases/counters.ts";
import { audited } from "./audited.ts";
import { loadDatabaseEnvironment } from "./database-environment.ts";
import { withDatabase } from "./connections.ts";
import { print, printNote } from "./output.ts";

interface Options {
  model?: string;
  json?: true;
}

interface RemoveOptions extends Options {
  unused?: true;
}

/** `retrigger counters ...` */
export function createCounters(): Command {
  const counters = new Command("counters").description(
    "count a buffer table while it is written, so that decisions need not count its rows",
  );
  const add = (name: string, text: string, run: (options: Options) => Promise<void>): Command =>
    counters
      .command(name)
      .description(text)
      .option("-m, --model <name>", "only the table of this model; every model's by default")
      .option("--json", "print JSON")
      .action(run);
  add("install", "install triggers on the tables and count their rows once", install);
  add("status", "list the tables, with their counters", status);
  add("verify", "compare the counters with the rows; exit with 1 if they differ", verify);
  add("remove", "remove the triggers and the counts", remove).addOption(
    new Option(
      "--unused",
      "only counters of dropped tables, and those that no model of these settings uses",
    ).conflicts("model"),
  );
  return counters;
}

async function install({ model, json }: Options): Promise<void> {
  const tables = await withCounters(({ models }, database) =>
    audited(database, { action: "counters install", target: model ?? "all models" }, () =>
      installCounters(models, database, model ?? null, printNote),
    ),
  );
  printAll(json, tables, tables.flatMap(installedLines));
  // A model that was named is expected to get one.
  const failures = model === undefined ? ["unreadable"] : ["unreadable", "uncountable"];
  if (tables.some(({ outcome }) => failures.includes(outcome))) process.exitCode = 1;
}

async function status({ model, json }: Options): Promise<void> {
  const tables = await withCounters(({ models }, database) =>
    listCounterStatus(models, database, model ?? null),
  );
  printAll(json, tables, [HEADER, ...tables.flatMap(statusLines)]);
}

async function verify({ model, json }: Options): Promise<void> {
  const verified = await withCounters(({ models }, database) =>
    verifyCounters(models, database, model ?? null),
  );
  printAll(json, verified, verified.length === 0 ? [NO_COUNTERS] : verified.flatMap(verifiedLines));
  if (verified.some(({ counter, differences }) => counter.problem !== null || differences.length > 0))
    process.exitCode = 1;
}

async function remove({ model, unused, json }: RemoveOptions): Promise<void> {
  const which = unused ? "unused" : (model ?? "all models");
  const removed = await withCounters(({ models }, database) =>
    audited(database, { action: "counters remove", target: which }, () =>
      removeCounters(models, database, unused ? { unused } : { model: model ?? null }, printNote),
    ),
  );
  const lines = removed.map(({ name, problem }) =>
    problem === "dropped" || unused
      ? `Removed an unused counter of ${name}.`
      : `Removed the counter of ${name}. Its rows are counted again.`,
  );
  printAll(json, removed, removed.length === 0 ? ["There is no such counter."] : lines);
}

const NO_COUNTERS = `There are no counters. Install them with: ${REPAIR_COUNTER}`;

async function withCounters<T>(
  use: (config: ConfigWithoutRedis, database: Database) => Promise<T>,
): Promise<T> {
  const config = parseConfigWithoutRedis(loadDatabaseEnvironment("counters"));
  return withDatabase(config, (database) => use(config, database));
}

function printAll(json: true | undefined, value: unknown, lines: readonly string[]): void {
  if (json) print(JSON.stringify(value, null, 2));
  else for (const line of lines.flatMap((each) => wrapLine(toPlain(each)))) print(line);
}

function installedLines({ table, outcome, reason, counter }: Installed): string[] {
  const rows = formatCount(counter?.rows ?? 0);
  switch (outcome) {
    case "installed":
      return [`✅ ${table}: installed, ${rows} rows`];
    case "repaired":
      return [`✅ ${table}: reinstalled, ${rows} rows`];
    case "recounted":
      return [`✅ ${table}: recounted, ${rows} rows`];
    case "uncountable":
      return [`➖ ${table}: cannot have a counter: ${reason ?? ""}. Its rows are counted as before.`];
    case "unreadable":
      return [`❌ ${table}: ${reason ?? ""}`];
    default:
      return outcome satisfies never;
  }
}

const HEADER = rowOf("TABLE", "MODELS", "ROWS", "COUNTER");

function rowOf(table: string, models: string, rows: string, counter: string): string {
  return `${table.padEnd(36)} ${models.padStart(6)} ${rows.padStart(14)}  ${counter}`;
}

function statusLines({ table, models, countedByRow, counter, uncountable }: TableStatus): string[] {
  const rows = counter === null ? "-" : formatCount(counter.rows);
  return [
    rowOf(table, formatCount(models.length), rows, wordFor(counter)),
    ...(uncountable === null ? [] : [`  It cannot have one: ${uncountable}.`]),
    ...(counter === null ? [] : problemLines(counter, models)),
    ...(counter !== null && countedByRow.length > 0
      ? [
          `  Counted row by row for ${listNames(countedByRow)}: only the rows say how many arrived since a training.`,
        ]
      : []),
  ];
}

function wordFor(counter: InstalledCounter | null): string {
  if (counter === null) return "none";
  return counter.problem === null ? "sound" : "not sound";
}

function problemLines({ problem }: InstalledCounter, models: readonly string[]): string[] {
  if (problem === null) return [];
  if (problem === "dropped") return [`  The table was dropped. Remove it with: ${REMOVE_UNUSED}`];
  const { cause, remedy } = COUNTER_PROBLEMS[problem];
  if (models.length === 0)
    return [`  It is not sound, and no model of these settings uses it. Remove it with: ${REMOVE_UNUSED}`];
  return [`  It is not used, because ${cause}. Fix: ${remedy}`];
}

const MOST_NAMES = 5;

function listNames(names: readonly string[]): string {
  const rest = names.length - MOST_NAMES;
  return names.slice(0, MOST_NAMES).join(", ") + (rest > 0 ? ` and ${formatCount(rest)} more` : "");
}

function verifiedLines({ counter, models, differences }: Verified): string[] {
  if (counter.problem !== null)
    return [`⚠️  ${counter.name}: not compared`, ...problemLines(counter, models)];
  if (differences.length === 0) return [`✅ ${counter.name}: matches its ${formatCount(counter.rows)} rows`];
  return [
    `❌ ${counter.name}: ${differences.length === 1 ? "1 batch differs" : `${formatCount(differences.length)} batches differ`}`,
    ...differences.map(describeDifference),
    `   → ${REPAIR_COUNTER}`,
  ];
}

function describeDifference({ batch, counted, actual, times }: Difference): string {
  const name = batch ?? "(no batch)";
  if (counted !== actual)
    return `   ${name}: the counter has ${formatCount(counted)} rows, the table ${formatCount(actual)}`;
  const list = (ends: readonly (string | null)[] = []): string =>
    ends.map((end) => end ?? "none").join(" to ");
  return `   ${name}: the counter has times from ${list(times?.counted)}, the table from ${list(times?.actual)}`;
}
