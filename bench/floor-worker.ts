import { FlowProducer, Worker } from "bullmq";
import { Redis } from "ioredis";
import { buildFlow } from "../queues/flow.ts";
import { StageJob } from "../queues/jobs.ts";
import { INBOX, STAGES } from "../queues/names.ts";
import { createDecisionSteps } from "./decision-steps.ts";

// The least that any program of this kind costs: an inbox and a flow of four empty BullMQ stages, with the same three round
// trips to Postgres that a decision makes, and nothing else.
const steps = await createDecisionSteps();
const connection = new Redis(process.env["REDIS_URL"] ?? "", { maxRetriesPerRequest: null });
const options = { connection, prefix: process.env["REDIS_PREFIX"] ?? "" };
const flow = new FlowProducer(options);

const work: Record<string, (job: StageJob) => Promise<unknown>> = {
  async [INBOX](job) {
    await steps.take(job);
    await flow.add(buildFlow(job));
  },
  gather: steps.decide,
};

for (const name of [INBOX, ...STAGES]) {
  const worker = new Worker(
    name,
    async (job) => {
      await work[name]?.(StageJob.parse(job.data));
      return {};
    },
    { ...options, concurrency: 8 },
  );
  worker.on("error", (error) => console.error(error));
  await worker.waitUntilReady();
}
console.log("ready");
process.once("SIGTERM", () => process.exit());
