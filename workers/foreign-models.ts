import type { Logger } from "../src/logger.ts";
import { delay, type Processor } from "./job-control.ts";
import { modelOf } from "./job-identity.ts";

export interface ForeignModelOptions {
  /** Whether the settings of this process name the model. */
  servesModel(model: string): boolean;
  /** The models that other live services of the same prefix serve. */
  listModelsElsewhere(): Promise<ReadonlySet<string>>;
  log: Logger;
}

/**
 * Either service may be the next to take the job again, so it is offered often at first: of two services the right one has
 * taken it within eight tries in 99.6 % of all cases. Then the pauses double with every eight tries.
 */
const FIRST_PAUSE_MS = 100;
const LONGEST_PAUSE_MS = 2_000;
const TRIES_OF_ONE_PAUSE = 8;

/**
 * Puts a job about a model that only another live service serves back into its queue, so that the other one takes it. It
 * is put back for as long as that service claims the model, which ends hours after it was killed at the latest; then the
 * job is processed here, and fails with the name of the unknown model.
 */
export function leavingForeignModels<T>(
  { servesModel, listModelsElsewhere, log }: ForeignModelOptions,
  processor: Processor<T>,
): Processor<T> {
  return async (job, token, signal) => {
    const model = modelOf(job);
    if (servesModel(model)) return processor(job, token, signal);
    // If Redis does not say, the job may still be another service's.
    const isServedElsewhere = await listModelsElsewhere().then(
      (models) => models.has(model),
      () => true,
    );
    if (!isServedElsewhere) return processor(job, token, signal);
    log.debug({ model, queue: job.queueName, jobId: job.id }, "left to the service of its model");
    return delay(job, computePauseMs(job.attemptsStarted), token);
  };
}

/** Less up to half of it at random, so that services which put back each other's jobs do not stay in step. */
function computePauseMs(attempt: number): number {
  const ceilingMs = Math.min(
    LONGEST_PAUSE_MS,
    FIRST_PAUSE_MS * 2 ** Math.floor(attempt / TRIES_OF_ONE_PAUSE),
  );
  return Math.round(ceilingMs * (1 - Math.random() / 2));
}
