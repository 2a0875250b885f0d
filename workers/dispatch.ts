import type { DispatchRequest } from "../src/core/dispatch-request.ts";
import type { Database } from "../src/postgres/database.ts";
import { messageOf } from "../src/errors.ts";
import type { Trainer, Training } from "../src/trainers/trainer.ts";

export interface DispatchDependencies {
  trainer: Trainer;
  database: Pick<Database, "claimDispatch" | "settleDispatch">;
}

/** A dispatch as its row stood when its decision was read. */
export interface Dispatch {
  decisionId: number;
  /** The run's id, by which the trainer knows the training. */
  key: string;
  request: DispatchRequest;
  state: string;
}

/**
 * Asks the trainer for a decision's training, at most once however often this is tried: the row says that the trainer is
 * being asked before it is. Where the answer is lost, to a crash or on the way, the trainer is asked whether it has such
 * a training; if it knows of none, nothing is sent again, and the dispatch is left to a person as `unknown`.
 *
 * @returns The state in which the row stands now.
 */
export async function dispatchTraining(
  { trainer: { remote }, database }: DispatchDependencies,
  { decisionId, key, request, state }: Dispatch,
): Promise<string> {
  if (!remote || (state !== "pending" && state !== "unknown")) return state;
  const settle = async (
    training: Training | null,
    error = "The worker ended while it asked",
  ): Promise<string> => {
    const settled = training
      ? ({ state: "sent", ...training } as const)
      : ({ state: "unknown", error } as const);
    await database.settleDispatch(decisionId, settled);
    return settled.state;
  };
  const claim = await database.claimDispatch(decisionId);
  switch (claim) {
    case "stale":
      return "cancelled";
    case "asked_before":
      return settle(await remote.find(key));
    case "claimed":
      try {
        return await settle(await remote.ask(request, key));
      } catch (error) {
        // Whatever the error says, the request may have arrived.
        return settle(await remote.find(key), messageOf(error));
      }
    default:
      return claim satisfies never;
  }
}
