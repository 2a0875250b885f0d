import { listCriteria } from "../core/condition.ts";
import { formatCount } from "../core/format.ts";
import { GUARDS } from "../core/guards/registry.ts";
import { settingsOf } from "../core/policy.ts";
import type { ModelConfig } from "./model-config.ts";

/** More than this is no longer read line by line. */
const MAX_LINES = 30;

/** The models for people, a line each; a summary if they do not fit on a page. */
export function describeModels(models: ReadonlyMap<string, ModelConfig>): string[] {
  const lines = [...models].slice(0, MAX_LINES).map(([name, model]) => `✅ ${name}: ${describeModel(model)}`);
  const more = models.size - MAX_LINES;
  return more <= 0
    ? lines
    : [
        ...summarize([...models.values()]),
        ...lines,
        `and ${formatCount(more)} more: npx retrigger config print --model NAME`,
      ];
}

function describeModel({ schedule, spreadMs, source, trainer, policy, shadow }: ModelConfig): string {
  const { checks, buffer, database } = source;
  const criteria = listCriteria(policy.when).length;
  const guards = GUARDS.filter((guard) => settingsOf(policy, guard) !== null).length;
  return [
    schedule === null ? "no schedule" : `schedule ${schedule}${spreadMs === 0 ? "" : " (spread)"}`,
    `trainer ${trainer.name}`,
    `checks ${checks.kind === "table" ? checks.table : "reported"}`,
    `${buffer.unit} ${buffer.kind === "table" ? `in ${buffer.table}` : "reported"}`,
    ...(database === null ? [] : [`database of ${database.variable}`]),
    `${criteria === 1 ? "1 criterion" : `${criteria} criteria`}, ${guards} guards`,
    ...(shadow === null ? [] : ["a shadow policy"]),
  ].join("; ");
}

function summarize(models: readonly ModelConfig[]): string[] {
  const policies = new Set(models.map(({ policy }) => JSON.stringify(policy)));
  return [
    `${formatCount(models.length)} models with ${policies.size === 1 ? "one policy" : `${formatCount(policies.size)} different policies`}`,
    `trainers: ${count(models.map(({ trainer }) => trainer.name))}`,
    `schedules: ${count(models.map(({ schedule }) => (schedule === null ? "none" : "scheduled")))}`,
    `checks: ${count(models.map(({ source }) => (source.checks.kind === "table" ? "from tables" : "reported")))}`,
  ];
}

/** "1,990 mock, 10 github" */
function count(names: readonly string[]): string {
  const counts = new Map<string, number>();
  for (const name of names) counts.set(name, (counts.get(name) ?? 0) + 1);
  return [...counts]
    .toSorted(([, a], [, b]) => b - a)
    .map(([name, times]) => `${formatCount(times)} ${name}`)
    .join(", ");
}
