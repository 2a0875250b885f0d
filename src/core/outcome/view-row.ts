import { messageOf } from "../errors.ts";
import { showValue } from "../parse.ts";
import { type Outcome, OutcomeReport, toOutcome } from "./outcome.ts";

/** The columns of a view of outcomes. It has `decision_id` or `run_id`; those after `after` may be left out. */
export const VIEW_COLUMNS = [
  "decision_id",
  "run_id",
  "metric",
  "before",
  "after",
  "higher_is_better",
  "promoted",
] as const;
export const REQUIRED_VIEW_COLUMNS = ["metric", "before", "after"] as const satisfies ViewColumn[];
export type ViewColumn = (typeof VIEW_COLUMNS)[number];

/** A row as text; null where the column is NULL or missing. */
export type ViewRow = Readonly<Partial<Record<ViewColumn, string | null>>>;

/** An outcome of a view, and the training that it names. */
export type ViewOutcome = Outcome &
  ({ decisionId: number; runId?: never } | { runId: string; decisionId?: never });

/** Parses a row of a view. Returns the outcome, or what is wrong with it. */
export function parseViewRow(row: ViewRow): { outcome: ViewOutcome } | { fault: string } {
  const faults: string[] = [];
  const name = parseName(row, faults);
  const direction = parseFlag(row, "higher_is_better", faults);
  const report = {
    metric: row.metric ?? undefined,
    before: parseFigure(row, "before", faults),
    after: parseFigure(row, "after", faults),
    direction: direction === undefined ? undefined : direction ? "higher" : "lower",
    promoted: parseFlag(row, "promoted", faults),
  };
  const parsed = OutcomeReport.safeParse(report);
  if (!parsed.success)
    for (const { path, message } of parsed.error.issues)
      faults.push(`${path.join(".")} is ${showValue(row[path[0] as ViewColumn] ?? undefined)}: ${message}`);
  if (faults.length > 0 || !parsed.success || name === null) return { fault: faults.join("; ") };
  try {
    return { outcome: { ...name, ...toOutcome(parsed.data) } };
  } catch (error) {
    return { fault: messageOf(error).replace("direction is missing", "higher_is_better is missing") };
  }
}

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

function parseName(row: ViewRow, faults: string[]): { decisionId: number } | { runId: string } | null {
  const { decision_id: decisionId = null, run_id: runId = null } = row;
  if (decisionId !== null) {
    if (/^[1-9]\d{0,8}$/.test(decisionId)) return { decisionId: Number(decisionId) };
    faults.push(`decision_id is ${showValue(decisionId)}: must be the number of a decision`);
  } else if (runId === null) faults.push("decision_id and run_id are NULL: name the training");
  else if (UUID.test(runId)) return { runId: runId.toLowerCase() };
  else faults.push(`run_id is ${showValue(runId)}: must be the UUID of a run`);
  return null;
}

function parseFigure(row: ViewRow, column: "before" | "after", faults: string[]): number | undefined {
  const text = row[column] ?? null;
  if (text === null) return undefined;
  const figure = text.trim() === "" ? Number.NaN : Number(text);
  if (Number.isFinite(figure)) return figure;
  faults.push(`${column} is ${showValue(text)}: must be a finite number, or NULL`);
  return undefined;
}

function parseFlag(
  row: ViewRow,
  column: "higher_is_better" | "promoted",
  faults: string[],
): boolean | undefined {
  const text = row[column]?.trim().toLowerCase() ?? null;
  if (text === null) return undefined;
  if (["true", "t", "yes", "1"].includes(text)) return true;
  if (["false", "f", "no", "0"].includes(text)) return false;
  faults.push(`${column} is ${showValue(text)}: must be true, false or NULL`);
  return undefined;
}
