import type { DispatchRequest, TrainingOrder } from "../core/dispatch-request.ts";

/** The port behind which training lives. */
export interface Trainer {
  readonly name: "mock";
  /** The word that a `trigger` decision of this trainer has in `retraining_decisions.decision`. */
  readonly triggerWord: "trigger_mock" | "trigger";
  /** The exact request for an order; pure, so that it can be recorded before anything is sent. */
  renderRequest(order: TrainingOrder): DispatchRequest;
}
