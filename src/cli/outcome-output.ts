import { formatInstant, toPlain } from "../core/format.ts";
import { BROUGHT_WORDS, describeOutcome } from "../core/outcome/outcome.ts";
import { describeCause, describeTally, type JudgedTraining, tallyByCause } from "../core/outcome/tally.ts";
import type { ImportResult } from "../use-cases/import-outcomes.ts";
import type { Reported } from "../use-cases/report-outcome.ts";
import { print, printNote } from "./output.ts";

export function printReported(reported: Reported, json?: true): void {
  if (json) return print(JSON.stringify(reported, null, 2));
  const { recorded, decisionId, model, metric, brought } = reported;
  print(
    toPlain(
      `${recorded ? "Recorded" : "Already recorded"}: ${metric} of decision ${decisionId} (${model}); its training: ${BROUGHT_WORDS[brought]}.`,
    ),
  );
}

/** Exit code 1 if a view or a row is faulty. */
export function printImport(views: readonly ImportResult[], json?: true): void {
  if (views.some(({ faults }) => faults.length > 0)) process.exitCode = 1;
  if (json) return print(JSON.stringify(views, null, 2));
  if (views.length === 0) print("No model has a view of outcomes. Set: outcomes: { view: NAME }");
  for (const { view, rows, saved, faults } of views) {
    print(`${view}: ${rows} rows, ${saved} with news`);
    for (const fault of faults.slice(0, SHOWN_FAULTS)) printNote(`  - ${toPlain(fault)}`);
    if (faults.length > SHOWN_FAULTS) printNote(`  and ${faults.length - SHOWN_FAULTS} more: --json`);
  }
}

const SHOWN_FAULTS = 20;
/** The newest of a model; the counts are about all. */
const SHOWN_TRAININGS = 5;

/** Prints what trainings brought, by model. */
export function printTrainings(lists: ReadonlyMap<string, readonly JudgedTraining[]>, json?: true): void {
  if (json) {
    const models = [...lists].map(([model, trainings]) => ({
      model,
      causes: tallyByCause(trainings),
      trainings,
    }));
    return print(JSON.stringify(models, null, 2));
  }
  for (const [model, trainings] of lists) {
    print(trainings.length === 0 ? `${model}: no training has succeeded yet` : model);
    for (const tally of tallyByCause(trainings)) print(`  ${toPlain(describeTally(tally))}`);
    for (const training of trainings.slice(0, SHOWN_TRAININGS)) printTraining(training);
    if (trainings.length > SHOWN_TRAININGS) print(`  and ${trainings.length - SHOWN_TRAININGS} more: --json`);
  }
}

function printTraining(training: JudgedTraining): void {
  const { decisionId, requestedAt, judged, outcomes } = training;
  const day = formatInstant(requestedAt).slice(0, 10);
  print(toPlain(`  #${decisionId} ${day} for ${describeCause(training)}: ${BROUGHT_WORDS[judged]}`));
  for (const outcome of outcomes) print(toPlain(`      ${describeOutcome(outcome)}`));
}
