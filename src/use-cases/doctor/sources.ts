import { about, fault, type Finding, ok, warning } from "../../core/finding.ts";
import { formatCount } from "../../core/format.ts";
import type { PartInspection } from "../../postgres/inspection/inspect.ts";
import type { SourceFault } from "../../postgres/source-tables.ts";
import { describeInstant, findImplausibleTimes, toSeconds } from "./implausible-times.ts";

/** A table with fewer rows is read in no time. */
const SMALL = 10_000;

/** What was found in one part of a model's source. @param now Unix seconds. */
export function describePart(inspection: PartInspection, unit: string, now: number): Finding[] {
  const { model, part, table, faults, measured } = inspection;
  if (faults.length > 0) return faults.map((each) => toFinding(model, each));
  if (measured === null) return [];
  if (measured.error !== null)
    return [
      {
        ...fault(
          `${table.table} cannot be read: ${measured.error}`,
          `Correct the values, or see: npx retrigger doctor --model ${model} --suggest-view`,
        ),
        model,
        place: `source.${part}`,
      },
    ];
  const what = part === "checks" ? "checks" : unit;
  return [
    about(model, ok(`${table.table} ${describeRows(inspection, what)}`)),
    ...(part === "checks" ? describeIndex(inspection) : []),
    ...findImplausibleTimes(table.table, measured.times, now).map((finding) => about(model, finding)),
  ];
}

/** A fault of a source as a finding: its message begins with its place. */
function toFinding(model: string, { code, message, remedy }: SourceFault): Finding {
  const prefix = `models.${model}.`;
  const end = message.indexOf(": ");
  const place = message.startsWith(prefix) && end !== -1 ? message.slice(prefix.length, end) : undefined;
  const isOfShape = code === "MISSING_COLUMN" || code === "SOURCE_DATA";
  return {
    ...fault(
      place === undefined ? message : message.slice(end + 2),
      isOfShape && !remedy.includes("migrate")
        ? `${remedy}: npx retrigger doctor --model ${model} --suggest-view prints one`
        : remedy,
    ),
    model,
    ...(place === undefined ? {} : { place }),
  };
}

function describeRows({ measured, index }: PartInspection, what: string): string {
  if (!measured?.rows) return `has ${what}, but counting them would take longer than 2 s`;
  const { count, isExact } = measured.rows;
  const newest = measured.times.find(({ key }) => key === "checkedAt" || key === "time") ?? measured.times[0];
  return [
    `has ${isExact ? "" : "about "}${formatCount(count)} ${count === 1 && what === "checks" ? "check" : what}`,
    ...(isExact ? [] : [" by the planner's estimate, because counting them would take longer than 2 s"]),
    ...(newest && newest.newest !== null
      ? [`, the newest of ${describeInstant(toSeconds(newest.newest, newest))}`]
      : []),
    ...(index?.kind === "used" ? [`, found by the index ${index.name}`] : []),
  ].join("");
}

function describeIndex({ model, table, catalog, measured, index }: PartInspection): Finding[] {
  const rows = Math.max(measured?.rows?.count ?? SMALL, catalog?.estimatedRows ?? 0);
  const group = "no index serves the query for recent checks";
  if (index === null && table.columns["checkedAt"]?.kind === "text" && rows >= SMALL) {
    const text = `${table.table} keeps its times as texts, so each decision reads all of its rows`;
    return [about(model, warning(text, "Change the type of the column, such as to TIMESTAMPTZ"))];
  }
  if (index?.kind !== "missing") return [];
  const text = `${table.table} has no index that serves the query for recent checks`;
  const create = index.create ?? "Create one on the view's own tables, on the column with the time";
  return [
    rows >= SMALL
      ? about(model, warning(text, create), group)
      : about(model, ok(`${text}, and needs none yet. If it grows: ${create}`), group),
  ];
}
