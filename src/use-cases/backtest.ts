import { findModel } from "../config/find-model.ts";
import type { ModelConfig } from "../config/model-config.ts";
import { type Backtest, replayInSteps } from "../core/backtest/backtest.ts";
import type { BacktestInput, Cadence } from "../core/backtest/input.ts";
import type { Past } from "../core/backtest/past.ts";
import { type Tuning, tuneInSteps } from "../core/backtest/tune.ts";
import { isMock } from "../core/dispatch/dispatch.ts";
import { computeFlightLimitMs } from "../core/dispatch/plan.ts";
import { formatDuration, toMs } from "../core/duration.ts";
import { PermanentError } from "../core/errors.ts";
import { findMedian } from "../core/median.ts";
import type { Policy } from "../core/policy.ts";
import { hashPolicy } from "../postgres/canonical-hash.ts";
import type { Database } from "../postgres/database.ts";
import { runInSteps } from "./run-in-steps.ts";

export interface BacktestRequest {
  model: string;
  /** Null to replay the policy in force alone. */
  candidate: Policy | null;
  /** How far back, as a duration. */
  since: string;
  /** Null to choose what the history allows. */
  cadence: Cadence | null;
  onProgress?: (share: number) => void;
}

export interface BacktestDependencies {
  models: ReadonlyMap<string, ModelConfig>;
  timing: { lostAfterMs: number };
  database: Pick<Database, "readPast" | "listDecidedModels" | "listOutcomes">;
}

/**
 * Replays the policy in force and a candidate over a model's own history.
 *
 * @throws PermanentError for an unknown model, NO_HISTORY for a period without checks and decisions, TOO_MUCH_HISTORY.
 */
export async function runBacktest(
  dependencies: BacktestDependencies,
  { model, candidate, since, cadence, onProgress }: BacktestRequest,
): Promise<Backtest & { cadence: Cadence }> {
  const input = await readInput(dependencies, { model, candidate, since, cadence });
  return { ...(await runInSteps(replayInSteps(input), onProgress)), cadence: input.cadence };
}

/**
 * Tries other thresholds for a model's policy over its own history. Changes nothing.
 *
 * @throws PermanentError as `runBacktest` does.
 */
export async function runTune(
  dependencies: BacktestDependencies,
  { model, since, cadence, onProgress }: Omit<BacktestRequest, "candidate">,
): Promise<Tuning> {
  const input = await readInput(dependencies, { model, candidate: null, since, cadence });
  const from = new Date(input.past.from).toISOString();
  const outcomes = await dependencies.database.listOutcomes(model, from);
  const ids = outcomes.flatMap(({ judged, decisionId }) =>
    judged === "nothing" || judged === "worse" ? [decisionId] : [],
  );
  return runInSteps(tuneInSteps({ ...input, broughtNothing: new Set(ids) }), onProgress);
}

/** Where decisions are on record, policies decide when they did; else at events; else, daily. */
function chooseCadence({ decisions, events, from }: Past): Cadence {
  if (decisions.some(({ at }) => at >= from)) return "recorded";
  return events.some((at) => at >= from) ? "events" : { everyMs: 86_400_000 };
}

/** Reads a model's past, with what a replay of it needs to know. */
async function readInput(
  { models, timing, database }: BacktestDependencies,
  { model, candidate, since, cadence }: Omit<BacktestRequest, "onProgress">,
): Promise<BacktestInput> {
  const config = findModel(models, model);
  const past = await database.readPast(model, config, {
    sinceMs: toMs(since),
    policies: [config.policy, ...(candidate ? [candidate] : [])],
  });
  const isEmpty = ![...past.checks, ...past.decisions, ...past.events.map((at) => ({ at }))].some(
    ({ at }) => at >= past.from,
  );
  if (isEmpty) throw noHistory(model, since, await database.listDecidedModels());
  const { expectDriftRunEveryMs, policy } = config;
  return {
    past,
    policyHash: hashPolicy(policy),
    inForce: policy,
    candidate,
    cadence: cadence ?? chooseCadence(past),
    settings: {
      isMock: isMock(config.trainer.name),
      usualSeconds: findMedian(
        past.trainings.flatMap(({ seconds, result }) =>
          result === "succeeded" && seconds !== null ? [seconds] : [],
        ),
      ),
      flightLimitMs: computeFlightLimitMs(timing.lostAfterMs),
      expectDriftRunEvery: expectDriftRunEveryMs === null ? null : formatDuration(expectDriftRunEveryMs),
    },
  };
}

function noHistory(model: string, since: string, known: readonly string[]): PermanentError {
  const others = known.filter((name) => name !== model);
  const remedy =
    others.length === 0
      ? "choose a longer --since"
      : `choose a longer --since; if the model was renamed, its decisions are recorded under the old name (${others.slice(0, 10).join(", ")} have some)`;
  return new PermanentError(
    "NO_HISTORY",
    `${model} has neither checks nor decisions in the last ${since}: ${remedy}`,
  );
}
