import { VIOLATIONS } from "./auditor.ts";
import { MISBEHAVIOURS } from "./misbehaviours.ts";
import { FAILOVERS, FAULTS } from "./plans.ts";
import type { Outcome } from "./runs.ts";

const COLUMNS = [
  "fault",
  "runs",
  "struck",
  "decisions",
  "dispatches",
  "to a person",
  "gone",
  "lost events",
  "duplicates",
  "other",
  "median s",
  "worst s",
] as const;

/** The outcomes by fault, as a Markdown table. Recovery is from the end of the fault to rest. */
export function formatTable(outcomes: Outcome[]): string {
  return formatGroups(outcomes, [...new Set([...FAULTS, ...FAILOVERS])], ({ plan }) => plan.fault);
}

/** The outcomes by the way in which GitHub misbehaved. */
export function formatGitHubTable(outcomes: Outcome[]): string {
  return formatGroups(outcomes, Object.keys(MISBEHAVIOURS), ({ plan }) => plan.github);
}

function formatGroups(
  outcomes: Outcome[],
  names: readonly string[],
  nameOf: (outcome: Outcome) => string,
): string {
  const rows = names.flatMap((name) => {
    const own = outcomes.filter((outcome) => nameOf(outcome) === name);
    return own.length === 0 ? [] : [summarize(name, own)];
  });
  const cells = [[...COLUMNS], ...rows, summarize("all", outcomes)];
  const widths = COLUMNS.map((_, column) => Math.max(...cells.map((row) => row[column]?.length ?? 0)));
  const line = (row: readonly string[]): string =>
    `| ${row.map((cell, column) => (column === 0 ? cell.padEnd(widths[0] ?? 0) : cell.padStart(widths[column] ?? 0))).join(" | ")} |`;
  const rule = `| ${widths.map((width, column) => (column === 0 ? "-".repeat(width) : `${"-".repeat(width - 1)}:`)).join(" | ")} |`;
  const [head = [], ...body] = cells;
  return [line(head), rule, ...body.map(line)].join("\n");
}

function summarize(name: string, outcomes: Outcome[]): string[] {
  const violations = outcomes.flatMap((outcome) => outcome.violations);
  const count = (...kinds: (typeof VIOLATIONS)[number][]): number =>
    violations.filter(({ kind }) => kinds.includes(kind)).length;
  const sum = (pick: (outcome: Outcome) => number): number =>
    outcomes.reduce((total, outcome) => total + pick(outcome), 0);
  const recoveries = outcomes
    .filter(({ hasStruck }) => hasStruck)
    .map(({ recoveryMs }) => recoveryMs)
    .toSorted((a, b) => a - b);
  const figures = [
    outcomes.length,
    outcomes.filter(({ hasStruck }) => hasStruck).length,
    sum(({ decisions }) => decisions),
    sum(({ dispatches }) => dispatches),
    sum(({ unknown }) => unknown),
    sum(({ gone }) => gone),
    count("lost event"),
    count("duplicate decision", "duplicate dispatch"),
    violations.length - count("lost event", "duplicate decision", "duplicate dispatch"),
  ];
  const seconds = [recoveries[Math.floor(recoveries.length / 2)], recoveries.at(-1)];
  return [name, ...figures.map(String), ...seconds.map((ms = 0) => (ms / 1000).toFixed(1))];
}
