import type { DispatchRequest, TrainingOrder } from "../core/dispatch-request.ts";

/** The port behind which training lives. */
export interface Trainer {
  readonly name: string;
  /** The word that a `trigger` decision of this trainer has in `retraining_decisions.decision`. */
  readonly triggerWord: "trigger_mock" | "trigger";
  /** The exact request for an order; pure, so that it can be recorded before anything is sent. */
  renderRequest(order: TrainingOrder): DispatchRequest;
  /** Where training is asked for; null for a trainer that only shows the request. */
  readonly remote: RemoteTrainer | null;
}

/** Something that trains when asked, and can say whether it was. */
export interface RemoteTrainer {
  /** Sends the request. An error means that it is not known whether the request arrived. */
  ask(request: DispatchRequest, key: string): Promise<Training>;
  /** The training that was asked for under this key, or null. */
  find(key: string): Promise<Training | null>;
}

/** A training, as its trainer names it. */
export interface Training {
  externalId: string;
  url: string | null;
}
