import type { Training, TrainingStatus } from "../core/dispatch/dispatch.ts";
import type { DispatchRequest, TrainingOrder } from "../core/dispatch/request.ts";
import type { TrainerTraits } from "../core/dispatch/transition.ts";
import { TransientError } from "../core/errors.ts";
import type { Finding } from "../core/finding.ts";
import type { Settings, ValuesOf } from "../core/setting.ts";
import type { Redact } from "../process/redact.ts";

/** A kind of trainer: its name, its settings and how it is made. Adding one takes a file and a line in the registry. */
export interface TrainerDefinition<S extends Settings = Settings> {
  readonly name: string;
  /** For the documentation, as Markdown: what it does. */
  readonly meaning: string;
  readonly settings: S;
  /** Faults beyond single settings. `given` holds the settings that are set, as written, by variable. */
  findFaults?(given: Readonly<Record<string, string | undefined>>): string[];
  /** Faults in the values that one model ends up with. */
  findModelFaults?(model: string, values: ValuesOf<S>): string[];
  create(options: TrainerOptions<S>): Trainer | Promise<Trainer>;
}

/** What a trainer is made from. */
export interface TrainerOptions<S extends Settings> {
  settings: ValuesOf<S>;
  /** The settings of each model, which may differ where the YAML file says so. */
  models: ReadonlyMap<string, ValuesOf<S>>;
  environment: Readonly<Record<string, string | undefined>>;
  redact: Redact;
}

/** The trainer that the configuration names, and what it is made from. */
export interface ConfiguredTrainer extends Omit<TrainerOptions<Settings>, "redact"> {
  name: string;
}

/** The settings of a trainer; null if another one is configured. */
export function settingsOf<S extends Settings>(
  configured: ConfiguredTrainer,
  { name }: TrainerDefinition<S>,
): ValuesOf<S> | null {
  return configured.name === name ? (configured.settings as ValuesOf<S>) : null;
}

/** The port to whatever trains the models. */
export interface Trainer {
  readonly name: string;
  /** What `retraining_decisions.decision` says for a `trigger` decision of this trainer. */
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

/** Trains on request, and can say whether a training was requested and what its status is. */
export interface RemoteTrainer {
  readonly traits: TrainerTraits;
  /** Sends the request, once. "lost" if the request may have been accepted without our knowing. */
  ask(dispatch: RequestedDispatch): Promise<Answer>;
  /**
   * The trainings that were requested under this key; the first one counts.
   *
   * @throws TrainerUnavailable if there is no telling now.
   */
  find(search: TrainingSearch): Promise<Training[]>;
  /**
   * Reads the status of a training.
   *
   * @throws TrainerUnavailable if there is no telling now.
   */
  follow(training: FollowedTraining): Promise<News>;
  /**
   * Identifies the training that a person names for `dispatch confirm`, by its id or URL.
   *
   * @throws PermanentError for a text that names none.
   */
  identify(text: string): IdentifiedTraining;
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

/** A training that a person named. */
export interface IdentifiedTraining {
  externalId: string;
  /** Where its status can be read, if its id is not enough. */
  statusUrl?: string;
  /** Its outcome will never be known. */
  isDone?: boolean;
}

/** A request whose training is searched for. */
export interface TrainingSearch {
  key: string;
  model: string;
  /** How long ago it was requested. */
  askedAgoMs: number;
}

export type Answer =
  /** Accepted; `training` is null if the trainer returned no id. `isDone`: its outcome will never be known. */
  | { outcome: "accepted"; training: Training | null; isDone?: boolean }
  /** Refused for good; says what to correct. */
  | { outcome: "rejected"; message: string }
  /** It never arrived, so it may be sent again. */
  | { outcome: "not_sent"; message: string }
  /** Refused for now; `waitMs` is null if the trainer does not say for how long. */
  | { outcome: "rate_limited"; message: string; waitMs: number | null }
  /** It may have arrived. */
  | { outcome: "lost"; message: string };

export interface FollowedTraining extends Training {
  key: string;
  model: string;
  /** That of the last response, so that an unchanged status costs nothing. */
  etag: string | null;
}

export type News =
  | { outcome: "unchanged" }
  | ({ outcome: "seen"; etag: string | null } & TrainingStatus)
  /** The trainer does not know it (any more). */
  | { outcome: "gone"; message: string }
  /** The status cannot be polled: the outcome will be reported. */
  | { outcome: "nothing_to_ask" };

export interface RunOptions {
  /** Aborted if this process stops, or has lost the training's job. */
  signal: AbortSignal;
  /** Receives the training's output, one or more lines at a time. */
  say: (text: string) => void;
}

export interface RunEnd {
  conclusion: "success" | "failure" | "timed_out" | "lost";
  message: string | null;
  durationSeconds: number;
}

/** The trainer cannot be reached or does not respond, which says nothing about the training. */
export class TrainerUnavailable extends TransientError {
  /** How long it asks us to wait; null if it does not say. */
  readonly waitMs: number | null;

  constructor(message: string, waitMs: number | null, options?: ErrorOptions) {
    super("TRAINER_UNAVAILABLE", message, options);
    this.waitMs = waitMs;
  }
}
