import type { ModelConfig } from "../config/model-config.ts";
import { findModel } from "../config/find-model.ts";
import { OPEN_STATES } from "../core/dispatch/dispatch.ts";
import { PermanentError } from "../core/errors.ts";
import {
  type Brought,
  judgeOutcome,
  type OutcomeReport,
  type OutcomeSource,
  toOutcome,
} from "../core/outcome/outcome.ts";
import type { Database } from "../postgres/database.ts";
import type { ReportableTraining } from "../postgres/outcomes.ts";
import { refuse } from "./settle-dispatch.ts";

/** Which training a report is about: that of a decision, of a run, or a model's latest one. */
export interface TrainingName {
  model?: string | undefined;
  decisionId?: number | undefined;
  runId?: string | undefined;
}

/** What a report changed. */
export interface Reported {
  decisionId: number;
  model: string;
  metric: string;
  /** Whether it says something new: the same report twice is one. */
  recorded: boolean;
  /** What the training brought, by all that was reported about it. */
  brought: Brought;
}

type Finder = Pick<Database, "findReportable" | "findNewestTraining">;

/** Finds the training that a report is about. @throws PermanentError if there is none, or if it is not clear which one. */
export async function findTraining(
  database: Finder,
  models: ReadonlyMap<string, ModelConfig>,
  { model, decisionId, runId }: TrainingName,
): Promise<ReportableTraining> {
  if (decisionId !== undefined && runId !== undefined)
    throw new PermanentError("BAD_INPUT", "decisionId and runId both name a training: leave one out");
  if (decisionId === undefined && runId === undefined) {
    if (model === undefined)
      throw new PermanentError(
        "BAD_INPUT",
        "decisionId or runId is missing: name the training, or its model",
      );
    findModel(models, model);
    return findLatest(database, model);
  }
  const named = decisionId === undefined ? { runIds: [runId ?? ""] } : { decisionIds: [decisionId] };
  const [found] = await database.findReportable(named);
  const what = decisionId === undefined ? `run ${runId}` : `decision ${decisionId}`;
  if (!found) throw new PermanentError("NOT_FOUND", `There is no ${what}. See: npx retrigger history`);
  const fault = findTrainingFault(found, model);
  if (fault !== null) throw refuse(fault);
  return found;
}

/** Why a training cannot have an outcome of a model; null if it can. */
export function findTrainingFault(found: ReportableTraining, model: string | undefined): string | null {
  const { decisionId, state } = found;
  if (model !== undefined && found.model !== model)
    return `Decision ${decisionId} is about ${found.model}, not ${model}. Correct the model, or the decision`;
  if (state === null) return `Decision ${decisionId} requested no training, so there is no outcome to report`;
  if (found.isUnrequested)
    return `The training of decision ${decisionId} never began: its request is ${state}. Name another decision`;
  return null;
}

async function findLatest(database: Finder, model: string): Promise<ReportableTraining> {
  const found = await database.findNewestTraining(model);
  if (!found)
    throw refuse(
      `No training of ${model} has ended. Name the decision that requested it: see npx retrigger history --model ${model}`,
    );
  const { decisionId, state } = found;
  // An outcome that is recorded with another training would be a wrong figure.
  if (OPEN_STATES.some((open) => open === state))
    throw refuse(
      `A training of ${model} is under way (decision ${decisionId}), so it is not clear which one the outcome is of. Name the decision or the run`,
    );
  if (state !== "succeeded")
    throw refuse(
      `The latest training of ${model} (decision ${decisionId}) is ${state}. If the outcome is of another one, name its decision or run`,
    );
  return found;
}

/** Records what a training brought. @throws PermanentError if the report is faulty, or about one metric too many. */
export async function reportOutcome(
  database: Pick<Database, "saveOutcomes" | "readDecision">,
  { decisionId, model }: Pick<ReportableTraining, "decisionId" | "model">,
  report: OutcomeReport,
  { source, by }: { source: OutcomeSource; by: string },
): Promise<Reported> {
  const outcome = toOutcome(report);
  const { saved, refused } = await database.saveOutcomes([{ ...outcome, model, decisionId, source, by }]);
  if (refused[0] !== undefined) throw refuse(refused[0]);
  const brought = judgeOutcome((await database.readDecision(decisionId))?.outcomes ?? []);
  return { decisionId, model, metric: outcome.metric, recorded: saved > 0, brought };
}
