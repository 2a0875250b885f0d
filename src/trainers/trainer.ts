import type { Training, TrainingStatus } from "../core/dispatch/dispatch.ts";
import type { DispatchRequest, TrainingOrder } from "../core/dispatch/request.ts";
import type { TrainerTraits } from "../core/dispatch/transition.ts";
import { TransientError } from "../core/errors.ts";
import type { Finding } from "../core/finding.ts";
import type { Settings, ValuesOf } from "../core/setting.ts";
import type { Redact } from "../process/redact.ts";

/** A kind of trainer: name, settings and factory. To add one, write one file and add one line to the registry. */
export interface TrainerDefinition<S extends Settings = Settings> {
  readonly name: string;
  /** What it does, as Markdown for the documentation. */
  readonly meaning: string;
  readonly settings: S;
  /** Finds faults that span several settings. */
  findFaults?(values: Readonly<Partial<ValuesOf<S>>>, words: FaultWords<S>): string[];
  /** The settings that one trainer has in common for all its models; absent: all of them. */
  connectionOf?(values: ValuesOf<S>): unknown;
  create(options: TrainerOptions<S>): Trainer | Promise<Trainer>;
}

/** How a fault calls what it is about. */
export interface FaultWords<S extends Settings = Settings> {
  /** The name by which the user knows a setting: its variable, or its key in the YAML file. */
  nameOf(key: keyof S): string;
  /** `TRAINER=github`, or `github` in the YAML file. */
  trainer: string;
}

/** What a trainer is created from. */
interface TrainerOptions<S extends Settings> {
  /** The settings of one of the models that share the connection, or the environment's. */
  settings: ValuesOf<S>;
  /** The settings of each model that shares the connection. */
  models: ReadonlyMap<string, ValuesOf<S>>;
  environment: Readonly<Record<string, string | undefined>>;
  redact: Redact;
}

/** The trainer that a model's settings name, and its settings. */
export interface ModelTrainer {
  name: string;
  settings: ValuesOf<Settings>;
}

/** The trainer that the environment names: that of each model whose settings name no other. */
export interface ConfiguredTrainer extends ModelTrainer {
  environment: TrainerOptions<Settings>["environment"];
}

/** The settings of all trainers: the environment's, and each model's. */
export interface TrainerConfig {
  trainer: ConfiguredTrainer;
  models: ReadonlyMap<string, { trainer: ModelTrainer }>;
}

/** Returns the settings of a trainer; null if another one is configured. */
export function settingsOf<S extends Settings>(
  configured: ModelTrainer,
  { name }: TrainerDefinition<S>,
): ValuesOf<S> | null {
  return configured.name === name ? (configured.settings as ValuesOf<S>) : null;
}

/** The port behind which training runs. */
export interface Trainer {
  readonly name: string;
  /** The value of `retraining_decisions.decision` for a trigger with this trainer. */
  readonly triggerWord: "trigger_mock" | "trigger";
  /**
   * Renders the exact request for an order. Pure, so that it can be recorded first and rendered again when it is sent.
   *
   * @throws PermanentError for a model that is not in the settings.
   */
  renderRequest(order: TrainingOrder): DispatchRequest;
  /** Dispatches and follows trainings; null for a trainer that only shows the request. */
  readonly remote: RemoteTrainer | null;
  /** Checks whether a request would be accepted, without sending one. */
  preflight(): Promise<Finding[]>;
}

/** Requests trainings, finds them again and reads their status. */
export interface RemoteTrainer {
  readonly traits: TrainerTraits;
  /** Sends the request, once. Returns "lost" if it may have been accepted without our knowledge. */
  request(dispatch: RequestedDispatch): Promise<RequestResult>;
  /**
   * Finds the trainings that were requested under this key; the first one counts.
   *
   * @throws TrainerUnavailable if the trainer cannot be searched now.
   */
  search(training: SearchedTraining): Promise<Training[]>;
  /**
   * Reads the status of a training.
   *
   * @throws TrainerUnavailable if the status cannot be read now.
   */
  poll(training: PolledTraining): Promise<PollResult>;
  /**
   * Parses the id or URL of the training that a person names in `dispatch confirm`.
   *
   * @throws PermanentError if it is neither.
   */
  identify(text: string): IdentifiedTraining;
  /** Runs the training in this process, to its end; absent if it runs elsewhere. */
  readonly run?: (dispatch: RequestedDispatch, options: RunOptions) => Promise<RunEnd>;
}

/** A dispatch about to be requested. */
interface RequestedDispatch {
  /** The run's id, which identifies the training to the trainer. */
  key: string;
  /** As rendered from the current settings. */
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

/** A request whose training is being searched for. */
export interface SearchedTraining {
  key: string;
  model: string;
  /** How long ago it was requested. */
  requestedAgoMs: number;
}

export type RequestResult =
  /** Accepted; `training` is null if the trainer returned no id. `isDone`: its outcome will never be known. */
  | { outcome: "accepted"; training: Training | null; isDone?: boolean }
  /** Refused permanently; the message says what to fix. */
  | { outcome: "rejected"; message: string }
  /** It never arrived, so it may be sent again. */
  | { outcome: "not_sent"; message: string }
  /** Refused temporarily; `waitMs` is null if the trainer does not say for how long. */
  | { outcome: "rate_limited"; message: string; waitMs: number | null }
  /** It may have arrived. */
  | { outcome: "lost"; message: string };

export interface PolledTraining extends Training {
  key: string;
  model: string;
  /** The ETag of the last response, so that an unchanged status costs nothing. */
  etag: string | null;
}

export type PollResult =
  | { outcome: "unchanged" }
  | ({ outcome: "seen"; etag: string | null } & TrainingStatus)
  /** The trainer does not know the training, or no longer does. */
  | { outcome: "gone"; message: string }
  /** The status cannot be polled: the outcome will be reported. */
  | { outcome: "not_pollable" };

export interface RunOptions {
  /** Aborted when this process stops or loses the training's job. */
  signal: AbortSignal;
  /** Appends one or more lines to the training's log. */
  log: (text: string) => void;
}

export interface RunEnd {
  conclusion: "success" | "failure" | "timed_out" | "lost";
  message: string | null;
  durationSeconds: number;
}

/** The trainer cannot be reached or does not respond, which says nothing about the training. */
export class TrainerUnavailable extends TransientError {
  /** The wait that the trainer requests; null if it requests none. */
  readonly waitMs: number | null;

  constructor(message: string, waitMs: number | null, options?: ErrorOptions) {
    super("TRAINER_UNAVAILABLE", message, options);
    this.waitMs = waitMs;
  }
}
