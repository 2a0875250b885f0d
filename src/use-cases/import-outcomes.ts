import type { ModelConfig } from "../config/model-config.ts";
import { messageOf, ServerAwayError } from "../core/errors.ts";
import { parseViewRow, type ViewOutcome, type ViewRow } from "../core/outcome/view-row.ts";
import type { Database } from "../postgres/database.ts";
import type { OutcomeToSave, ReportableTraining } from "../postgres/outcomes.ts";
import { findTrainingFault } from "./report-outcome.ts";

/** What was read from one view. */
export interface ImportResult {
  view: string;
  rows: number;
  /** How many rows said something new. */
  saved: number;
  /** What was wrong, with the row; the other rows are saved. */
  faults: string[];
}

type ImportDatabase = Pick<Database, "readOutcomeView" | "findReportable" | "saveOutcomes">;
type Views = ReadonlyMap<string, Pick<ModelConfig, "outcomes">>;

/** Reads every view of outcomes that the settings name, each once. A view or row that is faulty stops no other. */
export async function importOutcomes(
  database: ImportDatabase,
  models: Views,
  model: string | null = null,
): Promise<ImportResult[]> {
  const results: ImportResult[] = [];
  for (const [view, owners] of listViews(models)) {
    if (model !== null && !owners.includes(model)) continue;
    try {
      results.push(await importView(database, view, owners));
    } catch (error) {
      // A view that takes too long is faulty too.
      if (error instanceof ServerAwayError) throw error;
      results.push({ view, rows: 0, saved: 0, faults: [messageOf(error)] });
    }
  }
  return results;
}

/** The models of each view: several may share one. */
function listViews(models: Views): Map<string, string[]> {
  const views = new Map<string, string[]>();
  for (const [model, { outcomes }] of models)
    if (outcomes.view !== null) views.set(outcomes.view, [...(views.get(outcomes.view) ?? []), model]);
  return views;
}

async function importView(
  database: ImportDatabase,
  view: string,
  owners: readonly string[],
): Promise<ImportResult> {
  const rows = await database.readOutcomeView(view, `models.${owners[0]}.outcomes.view`);
  const faults: string[] = [];
  const parsed = parseRows(rows, faults);
  const trainings = await database.findReportable({
    decisionIds: parsed.flatMap(({ decisionId }) => decisionId ?? []),
    runIds: parsed.flatMap(({ runId }) => runId ?? []),
  });
  const outcomes = parsed.flatMap((outcome): OutcomeToSave[] => {
    const training = trainings.find(
      ({ decisionId, runId }) =>
        decisionId === outcome.decisionId || (runId !== null && runId === outcome.runId),
    );
    const fault = findFault(outcome, training, owners);
    if (fault !== null || !training) return (faults.push(fault ?? ""), []);
    const { decisionId: _id, runId: _run, ...figures } = outcome;
    const { decisionId, model } = training;
    return [{ ...figures, model, decisionId, source: "view", by: view }];
  });
  const sound = withoutContradictions(outcomes, faults);
  const { saved, refused } = await database.saveOutcomes(sound);
  return { view, rows: rows.length, saved, faults: [...faults, ...refused] };
}

function parseRows(rows: readonly ViewRow[], faults: string[]): ViewOutcome[] {
  return rows.flatMap((row) => {
    const parsed = parseViewRow(row);
    if ("outcome" in parsed) return [parsed.outcome];
    const name = row.decision_id ?? row.run_id ?? "no training";
    faults.push(`The row of ${name}, ${row.metric ?? "no metric"}: ${parsed.fault}`);
    return [];
  });
}

function findFault(
  outcome: ViewOutcome,
  training: ReportableTraining | undefined,
  owners: readonly string[],
): string | null {
  if (!training)
    return `There is no ${outcome.decisionId === undefined ? `run ${outcome.runId}` : `decision ${outcome.decisionId}`}. Correct the row, or leave it out`;
  if (!owners.includes(training.model))
    return `Decision ${training.decisionId} is about ${training.model}, which does not name this view in its settings`;
  return findTrainingFault(training, undefined);
}

/** Leaves out what a view says twice, unless it says the same. */
function withoutContradictions(outcomes: readonly OutcomeToSave[], faults: string[]): OutcomeToSave[] {
  const known = new Map<string, OutcomeToSave>();
  const contradicted = new Set<string>();
  for (const outcome of outcomes) {
    const key = `${outcome.decisionId} ${outcome.metric}`;
    const before = known.get(key);
    if (before && JSON.stringify(before) !== JSON.stringify(outcome) && !contradicted.has(key)) {
      contradicted.add(key);
      faults.push(
        `Decision ${outcome.decisionId} has ${outcome.metric} in several rows that differ, so none is saved: keep one`,
      );
    }
    known.set(key, outcome);
  }
  return [...known].flatMap(([key, outcome]) => (contradicted.has(key) ? [] : [outcome]));
}
