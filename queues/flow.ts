import type { FlowJob } from "bullmq";
import type { StageJob } from "./jobs.ts";
import { STAGES } from "./names.ts";
import { JOB_OPTIONS } from "./options.ts";

/**
 * The chain of one run as one BullMQ flow: summarize waits for act, act for evaluate, evaluate for gather. The run id is
 * the job id in each queue, so adding a chain twice adds it once.
 */
export function buildFlow(job: StageJob): FlowJob {
  const [first, ...later] = STAGES;
  const node = (stage: string): FlowJob => ({
    name: stage,
    queueName: stage,
    data: job,
    opts: { ...JOB_OPTIONS, jobId: job.runId },
  });
  return later.reduce((child, stage) => ({ ...node(stage), children: [child] }), node(first));
}
