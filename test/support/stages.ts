import type { AppOptions } from "../../src/app.ts";
import { until, withQueue, type World } from "./world.ts";

/** Retries a stage of a run as Bull Board does, and waits until it has completed again. */
export function retryStage(
  world: Pick<World, "config" | "redis">,
  stage: string,
  runId: string,
): Promise<void> {
  return withQueue(world, stage, async (queue) => {
    const job = await queue.getJob(runId);
    const before = job?.attemptsStarted ?? 0;
    await job?.retry((await job.getState()) as "completed" | "failed");
    await until("it ran again", async () => ((await queue.getJob(runId))?.attemptsStarted ?? 0) > before);
    await until("it ended", async () => (await queue.getJobState(runId)) === "completed");
  });
}

/** Makes the first `failures` attempts of act fail after their work is done, as if the worker had died then. */
export function failAfterAct(failures: number): AppOptions {
  let left = failures;
  return {
    replaceProcessors: (processors) => ({
      ...processors,
      async act(job, evaluated, retry) {
        const output = await processors.act(job, evaluated, retry);
        left -= 1;
        if (left >= 0) throw new Error("The worker died here");
        return output;
      },
    }),
  };
}

/** Runs `act` after each decision was recorded, before its training is requested. */
export function afterRecording(act: () => Promise<unknown>): AppOptions {
  return {
    replaceParts: (parts) => ({
      ...parts,
      database: {
        ...parts.database,
        async recordDecision(decision) {
          const recorded = await parts.database.recordDecision(decision);
          await act();
          return recorded;
        },
      },
    }),
  };
}
