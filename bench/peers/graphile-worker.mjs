import { Logger, makeWorkerUtils, run } from "graphile-worker";
import { serve } from "./serve.mjs";

const logger = new Logger(() => () => {});

// Five tasks, each of which adds the next. Prepared statements are on by default.
await serve(async ({ take, decide }, ended) => {
  const work = { inbox: take, gather: decide };
  const names = ["inbox", "gather", "evaluate", "act", "summarize"];
  const taskList = Object.fromEntries(
    names.map((name, index) => [
      name,
      async (job, { addJob }) => {
        await work[name]?.(job);
        const next = names[index + 1];
        if (next) await addJob(next, job);
        else ended(job.runId);
      },
    ]),
  );
  const preset = {
    worker: {
      connectionString: process.env.DATABASE_URL,
      concurrentJobs: 16,
      maxPoolSize: 20,
      pollInterval: 2_000,
      completeJobBatchDelay: 0,
      ...(process.env.LOCAL_QUEUE ? { localQueue: { size: Number(process.env.LOCAL_QUEUE) } } : {}),
    },
  };
  await run({ preset, taskList, logger, noHandleSignals: true });
  const utils = await makeWorkerUtils({ preset, logger });
  return (job) => utils.addJob("inbox", job);
});
