import type { DispatchRequest, TrainingOrder } from "../core/dispatch-request.ts";
import { TransientError } from "../errors.ts";
import type { Finding } from "../finding.ts";

/** The port behind which training lives. */
export interface Trainer {
  readonly name: string;
  /** The word that a `trigger` decision of this trainer has in `retraining_decisions.decision`. */
  readonly triggerWord: "trigger_mock" | "trigger";
  /** The exact request for an order; pure, so that it can be recorded before anything is sent. */
  renderRequest(order: TrainingOrder): DispatchRequest;
  /** Where training is asked for; null for a trainer that only shows the request. */
  readonly remote: RemoteTrainer | null;
  /** Looks whether a request would be taken, without sending one. */
  preflight(): Promise<Finding[]>;
}

/** Something that trains when asked, can say whether it was, and how the training stands. */
export interface RemoteTrainer {
  /** Sends the request, once. What it cannot tell apart from an accepted request is "lost". */
  ask(dispatch: AskedDispatch): Promise<Answer>;
  /**
   * The trainings that were asked for under this key, the one that counts first.
   * @throws TrainerUnavailable where there is no telling now.
   */
  find(dispatch: AskedDispatch): Promise<Training[]>;
  /**
   * How a training stands.
   * @throws TrainerUnavailable where there is no telling now.
   */
  follow(training: FollowedTraining): Promise<News>;
  /** Whether news may come by other ways than `follow`, and be in Postgres before it. */
  readonly tellsByItself: boolean;
  /** Runs the training itself, in this process, to its end; absent where training takes place elsewhere. */
  readonly run?: (dispatch: AskedDispatch, options: RunOptions) => Promise<RunEnd>;
}

/** A dispatch, as a trainer is asked about it. */
export interface AskedDispatch {
  /** The run's id, by which the trainer knows the training. */
  key: string;
  request: DispatchRequest;
  /** How long ago it was asked for. */
  askedAgoMs: number;
}

/** A training, as its trainer names it. */
export interface Training {
  externalId: string;
  url: string | null;
  /** Where to ask how it stands; null where the id says so. */
  statusUrl: string | null;
}

export type Answer =
  /** Taken; null where the trainer does not say under which id. */
  | { outcome: "accepted"; training: Training | null }
  /** Refused for good; says what to mend. */
  | { outcome: "rejected"; message: string }
  /** It never arrived, so that it may be sent again. */
  | { outcome: "not_sent"; message: string }
  /** Refused for now; null where the trainer does not say for how long. */
  | { outcome: "rate_limited"; message: string; waitMs: number | null }
  /** It may have arrived. */
  | { outcome: "lost"; message: string };

export interface FollowedTraining extends Training {
  key: string;
  request: DispatchRequest;
  /** Of the last answer, so that an unchanged one costs nothing. */
  etag: string | null;
}

/** The trainer's own words; `completed` is the one status that is an end. */
export interface TrainingStatus {
  status: string;
  conclusion: string | null;
  attempt: number | null;
  url: string | null;
  durationSeconds: number | null;
}

export type News =
  | { outcome: "unchanged" }
  | ({ outcome: "seen"; etag: string | null } & TrainingStatus)
  /** The trainer does not know it (any more). */
  | { outcome: "gone"; message: string }
  /** There is nowhere to ask: it will be told. */
  | { outcome: "nothing_to_ask" };

export interface RunOptions {
  /** Ends the training where this process stops, or has lost its right to it. */
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
  /** How long it wants to be left alone; null where it does not say. */
  readonly waitMs: number | null;

  constructor(message: string, waitMs: number | null, options?: ErrorOptions) {
    super("TRAINER_UNAVAILABLE", message, options);
    this.waitMs = waitMs;
  }
}
