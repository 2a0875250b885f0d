import { DBOS } from "@dbos-inc/dbos-sdk";
import { serve } from "./serve.mjs";

const AT_ONCE = 16;

// One workflow of five steps. Workflows are started in the process that runs them, which is faster than a queue of DBOS.
await serve(async ({ take, decide }, ended) => {
  const logger = { info() {}, debug() {}, warn() {}, error: console.error };
  DBOS.setConfig({
    name: "bench",
    systemDatabaseUrl: process.env.DATABASE_URL,
    systemDatabasePoolSize: 20,
    runAdminServer: false,
    logger,
  });
  const chain = DBOS.registerWorkflow(
    async (job) => {
      await DBOS.runStep(() => take(job), { name: "inbox" });
      await DBOS.runStep(() => decide(job), { name: "gather" });
      for (const name of ["evaluate", "act", "summarize"]) await DBOS.runStep(async () => ({}), { name });
    },
    { name: "decide" },
  );
  await DBOS.launch();
  const waiting = [];
  let running = 0;
  const startNext = async () => {
    if (running >= AT_ONCE || waiting.length === 0) return;
    running += 1;
    const job = waiting.shift();
    const handle = await DBOS.startWorkflow(chain, { workflowID: job.runId })(job);
    await handle.getResult();
    running -= 1;
    ended(job.runId);
    void startNext();
  };
  return (job) => {
    waiting.push(job);
    void startNext();
  };
});
