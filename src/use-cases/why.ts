import type { ConfigWithoutRedis } from "../config/config.ts";
import { findModel } from "../config/find-model.ts";
import { evaluate } from "../core/evaluate.ts";
import type { Explanation } from "../core/explain/explanation.ts";
import type { Database } from "../postgres/database.ts";

/** What would be decided about a model now, and what would turn it. */
export interface Why extends Explanation {
  model: string;
  decision: string;
  reason: string;
  /** The codes of the checks that failed. */
  failed: string[];
  /** When the model is re-evaluated by itself at the latest, ISO 8601; null for never. */
  nextLookAt: string | null;
}

/** Explains what would be decided about a model now. Records and sends nothing. */
export async function explainModel(
  config: ConfigWithoutRedis,
  database: Pick<Database, "fetchEvidence">,
  model: string,
): Promise<Why> {
  const modelConfig = findModel(config.models, model);
  const evidence = await database.fetchEvidence(model, modelConfig);
  const { decision, reason, failed, nextLookAt, explanation } = evaluate(evidence, modelConfig.policy);
  return {
    model,
    decision,
    reason,
    failed,
    nextLookAt,
    ...(explanation ?? { why: "", nearestFlips: [], notCounted: [], driftRuns: null, warnings: [] }),
  };
}
