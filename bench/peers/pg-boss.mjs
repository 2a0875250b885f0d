import { PgBoss } from "pg-boss";
import { serve } from "./serve.mjs";

// Five queues, each of whose workers sends to the next. Workers are woken by NOTIFY instead of polling.
await serve(async ({ take, decide }, ended) => {
  const boss = new PgBoss({
    connectionString: process.env.DATABASE_URL,
    max: 20,
    useListenNotify: true,
  });
  boss.on("error", (error) => console.error(error));
  await boss.start();
  const work = { inbox: take, gather: decide };
  const names = ["inbox", "gather", "evaluate", "act", "summarize"];
  for (const name of names) await boss.createQueue(name, { notify: true });
  for (const [index, name] of names.entries()) {
    const next = names[index + 1];
    const options = {
      batchSize: Number(process.env.BATCH ?? 8),
      pollingIntervalSeconds: 0.5,
      burstWhenBatchFull: true,
    };
    await boss.work(name, options, (jobs) =>
      Promise.all(
        jobs.map(async ({ data }) => {
          await work[name]?.(data);
          if (next) await boss.send(next, data);
          else ended(data.runId);
        }),
      ),
    );
  }
  return (job) => boss.send("inbox", job);
});
