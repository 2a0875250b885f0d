import type { Job } from "bullmq";
import type { z } from "zod";
import { Abandoned } from "../../queues/abandoned.ts";
import { type Stage, STAGES } from "../../queues/names.ts";
import { parseInput } from "../../src/core/parse.ts";
import { waitForChild } from "./job-control.ts";

export type ChildResult<T> = { outcome: "ended"; result: T } | Abandoned;

/**
 * Reads the result of the previous stage, whose job is the only child of this one. BullMQ keeps nothing of a removed child
 * and still runs the parent, so the run is abandoned.
 * @throws PermanentError for a malformed result, WaitingChildrenError if the child is running again.
 */
export async function readChild<S extends z.ZodType>(
  job: Job,
  token: string | undefined,
  stage: Stage,
  schema: S,
): Promise<ChildResult<z.infer<S>>> {
  const read = async () => Object.values(await job.getChildrenValues<unknown>());
  let results = await read();
  if (results.length === 0) {
    // A completed child that is being retried has no result until it completes again.
    await waitForChild(job, token);
    // It may have completed in the meantime.
    results = await read();
  }
  if (results.length === 0) return { outcome: "abandoned", removed: stageBefore(stage) };
  const earlier = Abandoned.safeParse(results[0]);
  if (earlier.success) return earlier.data;
  return { outcome: "ended", result: parseInput(schema, results[0], "result of the previous stage") };
}

/** The stage whose result another one takes. */
export function stageBefore(stage: Stage): Stage {
  const previous = STAGES[STAGES.indexOf(stage) - 1];
  if (previous === undefined) throw new Error(`Stage ${stage} has no previous stage`);
  return previous;
}
