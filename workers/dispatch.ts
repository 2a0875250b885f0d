import type { DispatchRequest } from "../src/core/dispatch-request.ts";
import { type DispatchOutcome, UNASKED } from "../src/core/training.ts";
import type { Database } from "../src/postgres/database.ts";
import type { TrainingPatience } from "../src/config.ts";
import {
  type AskedDispatch,
  type RemoteTrainer,
  type Trainer,
  TrainerUnavailable,
  type Training,
} from "../src/trainers/trainer.ts";

export interface DispatchDependencies {
  trainer: Trainer;
  database: Pick<Database, "claimDispatch" | "postponeDispatch" | "settleDispatch" | "reopenDispatch">;
  patience: Pick<TrainingPatience, "searchMs">;
}

/** A dispatch as its row stood when its decision was read. */
export interface Dispatch {
  decisionId: number;
  /** The run's id, by which the trainer knows the training. */
  key: string;
  request: DispatchRequest;
  outcome: DispatchOutcome;
  /** How long ago it was decided. */
  ageMs: number;
  /** Whether a person runs this again after it had come to its end. */
  isPersonsWord: boolean;
}

/** How a dispatch stands, or when it is to be looked at again and why. */
export type Dispatching =
  { outcome: "settled"; dispatch: DispatchOutcome } | { outcome: "later"; waitMs: number; message: string };

/**
 * Asks the trainer for a decision's training, effectively once however often this is tried: the row says that the trainer is
 * being asked before it is. Where the answer is lost, to a crash or on the way, the trainer is asked whether it has such
 * a training, again and again for a while; if it knows of none, nothing is sent again, and the dispatch is left to a
 * person as `unknown`. Only what certainly never arrived is sent again, and what was refused for now.
 */
export async function dispatchTraining(
  dependencies: DispatchDependencies,
  dispatch: Dispatch,
): Promise<Dispatching> {
  const { trainer, database } = dependencies;
  const { remote } = trainer;
  const { decisionId, key, outcome, isPersonsWord } = dispatch;
  if (!remote) return settled(outcome);
  if (outcome.state === "rejected" && isPersonsWord) {
    const reopening = await database.reopenDispatch(key, "rejected");
    if (reopening.outcome === "refused")
      return settled({ ...outcome, error: `${outcome.error}\n${reopening.why}` });
  } else if (outcome.state !== "pending" && outcome.state !== "unknown") return settled(outcome);

  const claim = await database.claimDispatch(decisionId);
  switch (claim.outcome) {
    case "stale":
    case "answered": {
      const error = UNASKED[claim.outcome];
      return settled({ state: "cancelled", externalId: null, url: null, error, askedAt: null });
    }
    case "asked_before":
      return search(
        dependencies,
        remote,
        dispatch,
        claim.agoMs,
        outcome.error ?? "The worker ended while it asked",
      );
    case "claimed":
      return ask(dependencies, remote, dispatch);
    default:
      return claim satisfies never;
  }
}

function settled(dispatch: DispatchOutcome): Dispatching {
  return { outcome: "settled", dispatch };
}

async function ask(
  dependencies: DispatchDependencies,
  remote: RemoteTrainer,
  dispatch: Dispatch,
): Promise<Dispatching> {
  const { database } = dependencies;
  const { decisionId, ageMs } = dispatch;
  const answer = await remote.ask(toAsked(dispatch, 0));
  switch (answer.outcome) {
    case "accepted":
      return settled(await database.settleDispatch(decisionId, toSent(answer.training)));
    case "rejected":
      return settled(await database.settleDispatch(decisionId, { state: "rejected", error: answer.message }));
    case "not_sent":
      await database.postponeDispatch(decisionId, { error: answer.message, wasAsked: false });
      return later(clamp(ageMs, 250, 30_000), answer.message);
    case "rate_limited":
      await database.postponeDispatch(decisionId, { error: answer.message, wasAsked: false });
      return later(answer.waitMs ?? Math.max(60_000, ageMs), answer.message);
    case "lost":
      await database.postponeDispatch(decisionId, { error: answer.message, wasAsked: true });
      return search(dependencies, remote, dispatch, 0, answer.message);
    default:
      return answer satisfies never;
  }
}

/** A trainer that cannot be reached is asked so much longer, as nothing follows from its silence. */
const SILENCE_FACTOR = 12;

/** Looks whether the trainer has the training after all. */
async function search(
  { database, patience: { searchMs } }: DispatchDependencies,
  remote: RemoteTrainer,
  dispatch: Dispatch,
  askedAgoMs: number,
  why: string,
): Promise<Dispatching> {
  const { decisionId } = dispatch;
  const giveUp = async (error: string): Promise<Dispatching> =>
    settled(await database.settleDispatch(decisionId, { state: "unknown", error }));
  // The pauses grow with the time that has passed; the last look is after all of it.
  const pauseMs = Math.min(clamp(askedAgoMs / 2, 1_000, 60_000), Math.max(1_000, searchMs - askedAgoMs));
  try {
    const [training] = await remote.find(toAsked(dispatch, askedAgoMs));
    if (training) return settled(await database.settleDispatch(decisionId, toSent(training)));
    if (dispatch.outcome.state === "unknown") return settled(dispatch.outcome);
    if (askedAgoMs >= searchMs)
      return await giveUp(`${why}; the trainer knows of no training under this run's id`);
    return later(pauseMs, `${why}; looking for the training`);
  } catch (error) {
    if (!(error instanceof TrainerUnavailable)) throw error;
    if (askedAgoMs >= searchMs * SILENCE_FACTOR)
      return giveUp(`${why}; the trainer could not be asked for it: ${error.message}`);
    return later(Math.max(pauseMs, error.waitMs ?? 0), `${why}; ${error.message}`);
  }
}

function toAsked({ key, request }: Dispatch, askedAgoMs: number): AskedDispatch {
  return { key, request, askedAgoMs };
}

function toSent(training: Training | null) {
  const { externalId, url, statusUrl } = training ?? { externalId: null, url: null, statusUrl: null };
  return { state: "sent", externalId, url, statusUrl } as const;
}

function later(waitMs: number, message: string): Dispatching {
  return { outcome: "later", waitMs: Math.round(waitMs), message };
}

function clamp(value: number, least: number, most: number): number {
  return Math.min(most, Math.max(least, value));
}
