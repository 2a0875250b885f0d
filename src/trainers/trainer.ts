import type { TrainerTraits, Training, TrainingStatus } from "../core/dispatch.ts";
import type { DispatchRequest, TrainingOrder } from "../core/dispatch-request.ts";
import { TransientError } from "../errors.ts";
import type { Finding } from "../finding.ts";

/** The port behind which training lives. */
export interface Trainer {
  readonly name: string;
  /** The word that a `trigger` decision of this trainer has in `retraining_decisions.decision`. */
  readonly triggerWord: "trigger_mock" | "trigger";
  /**
   * The exact request for an order; pure, so that it can be recorded before anything is sent, and rendered again when it is
   * sent.
   *
   * @throws PermanentError for a model that the settings do not name.
   */
  renderRequest(order: TrainingOrder): DispatchRequest;
  /** Where trainings are dispatched; null for a trainer that only shows the request. */
  readonly remote: RemoteTrainer | null;
  /** Checks whether a request would be accepted, without sending one. */
  preflight(): Promise<Finding[]>;
}

/** Something that trains on request, can say whether it was requested, and how the training stands. */
export interface RemoteTrainer {
  readonly traits: TrainerTraits;
  /** Sends the request, once. What it cannot tell apart from an accepted request is "lost". */
  ask(dispatch: RequestedDispatch): Promise<Answer>;
  /**
   * The trainings that were requested under this key, the one that counts first.
   *
   * @throws TrainerUnavailable if there is no telling now.
   */
  find(search: TrainingSearch): Promise<Training[]>;
  /**
   * How a training stands.
   *
   * @throws TrainerUnavailable if there is no telling now.
   */
  follow(training: FollowedTraining): Promise<News>;
  /** Runs the training itself, in this process, to its end; absent if training takes place elsewhere. */
  readonly run?: (dispatch: RequestedDispatch, options: RunOptions) => Promise<RunEnd>;
}

/** A dispatch about to be requested. */
export interface RequestedDispatch {
  /** The run's id, by which the trainer knows the training. */
  key: string;
  /** As the settings render it now. */
  request: DispatchRequest;
}

/** A request whose training is searched for. */
export interface TrainingSearch {
  key: string;
  model: string;
  /** How long ago it was requested. */
  askedAgoMs: number;
}

export type Answer =
  /** Accepted; null if the trainer does not say under which id. `isDone`: its outcome will never be known. */
  | { outcome: "accepted"; training: Training | null; isDone?: boolean }
  /** Refused for good; says what to correct. */
  | { outcome: "rejected"; message: string }
  /** It never arrived, so that it may be sent again. */
  | { outcome: "not_sent"; message: string }
  /** Refused for now; null if the trainer does not say for how long. */
  | { outcome: "rate_limited"; message: string; waitMs: number | null }
  /** It may have arrived. */
  | { outcome: "lost"; message: string };

export interface FollowedTraining extends Training {
  key: string;
  model: string;
  /** Of the last answer, so that an unchanged one costs nothing. */
  etag: string | null;
}

export type News =
  | { outcome: "unchanged" }
  | ({ outcome: "seen"; etag: string | null } & TrainingStatus)
  /** The trainer does not know it (any more). */
  | { outcome: "gone"; message: string }
  /** There is nowhere to ask: the outcome will be reported. */
  | { outcome: "nothing_to_ask" };

export interface RunOptions {
  /** Ends the training if this process stops, or has lost its right to it. */
  signal: AbortSignal;
  /** Takes what the training prints, a line or more at a time. */
  say: (text: string) => void;
}

export interface RunEnd {
  conclusion: "success" | "failure" | "timed_out" | "lost";
  message: string | null;
  durationSeconds: number;
}

/** The trainer cannot be reached or does not answer now; nothing follows from that for the training. */
export class TrainerUnavailable extends TransientError {
  /** How long it wants to be left alone; null if it does not say. */
  readonly waitMs: number | null;

  constructor(message: string, waitMs: number | null, options?: ErrorOptions) {
    super("TRAINER_UNAVAILABLE", message, options);
    this.waitMs = waitMs;
  }
}
