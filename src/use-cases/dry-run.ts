import type { ConfigWithoutRedis } from "../config/config.ts";
import { evaluate } from "../core/evaluate.ts";
import { draftDecision } from "../trainers/draft-decision.ts";
import { summarizeDecision, type DecisionSummary } from "../core/report/decision-summary.ts";
import { findModel } from "../config/find-model.ts";
import type { Database } from "../postgres/database.ts";
import { createRunId } from "../../queues/run-id.ts";
import { createRedactor } from "../process/redact.ts";
import { createTrainer } from "../trainers/registry.ts";

/** Computes what a decision would be now. Records and sends nothing. */
export async function dryRun({
  config,
  database,
  model,
}: {
  config: ConfigWithoutRedis;
  database: Database;
  model: string;
}): Promise<DecisionSummary> {
  const own = findModel(config.models, model);
  const { policy, minBufferSizeSetting } = own;
  const runId = createRunId();
  const evidence = await database.fetchEvidence(model, own);
  const verdict = evaluate(evidence, policy);
  const trainer = await createTrainer(config, createRedactor(config.secrets));
  const { decision, request } = draftDecision({ runId, model, evidence, verdict }, trainer);
  return summarizeDecision(
    {
      model,
      runId,
      evidence,
      policy,
      minBufferSizeSetting,
      verdict,
      request,
      dispatch: request && {
        trainer: trainer.name,
        state: null,
        reason: null,
        externalId: null,
        url: null,
        error: null,
        askedAt: null,
      },
      recorded: null,
      superseded: null,
      timeZone: config.timeZone,
    },
    decision,
  );
}
