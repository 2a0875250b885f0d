import { createRunId } from "../../queues/run-id.ts";
import type { ConfigWithoutRedis } from "../config/config.ts";
import { findModel } from "../config/find-model.ts";
import { evaluate } from "../core/evaluate.ts";
import { type DecisionSummary, summarizeDecision } from "../core/report/decision-summary.ts";
import type { Database } from "../postgres/database.ts";
import { createRedactor } from "../process/redact.ts";
import { draftDecision } from "../trainers/draft-decision.ts";
import { createTrainers } from "../trainers/registry.ts";

/** Computes what would be decided now. Records and sends nothing. */
export async function dryRun({
  config,
  database,
  model,
  forced = null,
}: {
  config: ConfigWithoutRedis;
  database: Database;
  model: string;
  /** Who would force the decision past its guards, and why. */
  forced?: { by: string; reason: string } | null;
}): Promise<DecisionSummary> {
  const modelConfig = findModel(config.models, model);
  const { policy, settingNames } = modelConfig;
  const runId = createRunId();
  const found = await database.fetchEvidence(model, modelConfig);
  const evidence = forced
    ? { ...found, interventions: { ...found.interventions, override: { id: 0, ...forced } } }
    : found;
  const verdict = evaluate(evidence, policy);
  const own = { ...config, models: new Map([[model, modelConfig]]) };
  const trainer = (await createTrainers(own, createRedactor(config.secrets))).of(model);
  const { decision, request } = draftDecision({ runId, model, evidence, verdict }, trainer);
  return summarizeDecision(
    {
      model,
      runId,
      evidence,
      policy,
      settingNames,
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
      page: null,
      timeZone: config.timeZone,
    },
    decision,
  );
}
