import type { StageJob } from "../queues/jobs.ts";
import { parseConfig } from "../src/config/config.ts";
import { findModel } from "../src/config/find-model.ts";
import { evaluate } from "../src/core/evaluate.ts";
import { createDatabase } from "../src/postgres/database.ts";
import { createLogger } from "../src/process/logger.ts";
import { createRedactor } from "../src/process/redact.ts";
import { draftRecord } from "../src/trainers/draft-decision.ts";
import { createTrainers } from "../src/trainers/registry.ts";

/** What a decision does in Postgres, for programs that the bench compares with: the same prepared SQL in three round trips. */
export interface DecisionSteps {
  /** Records the event: one statement. */
  take(job: StageJob): Promise<void>;
  /** Reads the evidence, judges it and records the decision: two statements. */
  decide(job: StageJob): Promise<void>;
}

export async function createDecisionSteps(): Promise<DecisionSteps> {
  const config = parseConfig(process.env);
  const database = createDatabase(config, createLogger("silent"));
  const trainers = await createTrainers(config, createRedactor(config.secrets));
  return {
    async take({ runId, model }) {
      const event = { runId, status: "success" as const };
      await database.recordEvent({ model, event, jobKey: runId, outcome: "started", runId });
    },
    async decide({ runId, model, cause }) {
      const own = findModel(config.models, model);
      const evidence = await database.fetchEvidence(model, own);
      const verdict = evaluate(evidence, own.policy);
      const judged = { runId, model, cause, evidence, policy: own.policy, verdict };
      await database.recordDecision(draftRecord(judged, trainers.of(model)));
    },
  };
}
