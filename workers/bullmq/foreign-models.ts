import type { Logger } from "../../src/process/logger.ts";
import { delay, type Processor } from "./job-control.ts";
import { modelOf } from "./job-identity.ts";

export interface ForeignModelOptions {
  /** Whether the settings of this process name the model. */
  hasModel(model: string): boolean;
  /** The models that other live services on the same prefix serve. */
  listModelsElsewhere(): Promise<ReadonlySet<string>>;
  log: Logger;
}

/**
 * Either service may be the next to take the job, so the pauses are short at first: of two services, the right one has
 * taken it within eight tries in 99.6 % of all cases. Then the pause doubles every eight tries.
 */
const FIRST_PAUSE_MS = 100;
const MAX_PAUSE_MS = 60_000;
const TRIES_OF_ONE_PAUSE = 8;

/**
 * Returns a job to its queue if only another live service serves its model, so that the other service takes it. It does so
 * for as long as that service claims the model; the claims of a killed one expire within hours. After that, the job is
 * processed here and fails with an error that names the unknown model.
 */
export function returnForeignModels<T>(
  { hasModel, listModelsElsewhere, log }: ForeignModelOptions,
  processor: Processor<T>,
): Processor<T> {
  return async (job, token, signal) => {
    const model = modelOf(job);
    if (hasModel(model)) return processor(job, token, signal);
    // If Redis cannot be read, the job may still belong to another service.
    const isServedElsewhere = await listModelsElsewhere().then(
      (models) => models.has(model),
      () => true,
    );
    if (!isServedElsewhere) return processor(job, token, signal);
    log.debug(
      { model, queue: job.queueName, jobId: job.id },
      "returned to the queue for the service of its model",
    );
    return delay(job, computePauseMs(job.attemptsStarted), token);
  };
}

/** With jitter of up to half, so that services that return each other's jobs get out of step. */
function computePauseMs(attempt: number): number {
  const ceilingMs = Math.min(MAX_PAUSE_MS, FIRST_PAUSE_MS * 2 ** Math.floor(attempt / TRIES_OF_ONE_PAUSE));
  return Math.round(ceilingMs * (1 - Math.random() / 2));
}
