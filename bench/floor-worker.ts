import { Worker } from "bullmq";
import { Redis } from "ioredis";
import { StageJob } from "../queues/jobs.ts";
import { STAGES } from "../queues/names.ts";
import { parseConfig } from "../src/config/config.ts";
import { findModel } from "../src/config/find-model.ts";
import { evaluate } from "../src/core/evaluate.ts";
import { createDatabase } from "../src/postgres/database.ts";
import { createLogger } from "../src/process/logger.ts";
import { createRedactor } from "../src/process/redact.ts";
import { draftRecord } from "../src/trainers/draft-decision.ts";
import { createTrainers } from "../src/trainers/registry.ts";

// The minimum that any program of this kind costs: four BullMQ stages, with FLOOR=sql the same three round trips to
// Postgres that a decision makes, and nothing else.
const withSql = process.env["FLOOR"] === "sql";
const config = parseConfig(process.env);
const database = createDatabase(config, createLogger("silent"));
const trainers = await createTrainers(config, createRedactor(config.secrets));
const connection = new Redis(config.redisUrl, { maxRetriesPerRequest: null });

async function runSql({ runId, model, cause }: StageJob): Promise<void> {
  const event = { runId, status: "success" as const };
  await database.recordEvent({ model, event, jobKey: runId, outcome: "started", runId });
  const own = findModel(config.models, model);
  const trainer = trainers.of(model);
  const evidence = await database.fetchEvidence(model, own);
  const verdict = evaluate(evidence, own.policy);
  const judged = { runId, model, cause, evidence, policy: own.policy, verdict };
  await database.recordDecision(draftRecord(judged, trainer));
}

for (const stage of STAGES) {
  const worker = new Worker(
    stage,
    async (job) => {
      if (withSql && stage === "gather") await runSql(StageJob.parse(job.data));
      return {};
    },
    { connection, prefix: config.redisPrefix, concurrency: 8 },
  );
  worker.on("error", (error) => console.error(error));
  await worker.waitUntilReady();
}
console.log("ready");
