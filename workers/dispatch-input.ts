import type { DispatchInput } from "../src/core/dispatch/transition.ts";
import { type RequestResult, TrainerUnavailable } from "../src/trainers/trainer.ts";

/**
 * Maps the trainer's response to a request.
 * @param askedAt When the request was claimed, in Unix milliseconds: the response counts for no later one.
 */
export function fromResult(result: RequestResult, askedAt: number | null): DispatchInput {
  switch (result.outcome) {
    case "accepted":
      return { kind: "accepted", training: result.training, isDone: result.isDone ?? false };
    case "rejected":
      return { kind: "refused", askedAt, message: result.message };
    case "not_sent":
      return { kind: "not_sent", askedAt, message: result.message };
    case "rate_limited":
      return { kind: "rate_limited", askedAt, message: result.message, waitMs: result.waitMs };
    case "lost":
      return { kind: "response_lost", askedAt, message: result.message };
    default:
      return result satisfies never;
  }
}

/** Maps a failed search or poll. @throws any error but TrainerUnavailable. */
export function fromError(error: unknown): DispatchInput {
  if (!(error instanceof TrainerUnavailable)) throw error;
  return { kind: "unavailable", message: error.message, waitMs: error.waitMs };
}
