import { findModel } from "../config/find-model.ts";
import type { ModelConfig } from "../config/model-config.ts";
import { describeCondition } from "../core/describe-condition.ts";
import { toMs } from "../core/duration.ts";
import { type ShadowReport, summarizeShadow } from "../core/shadow-report.ts";
import type { Database } from "../postgres/database.ts";

/**
 * Reports how far a model's shadow policies agreed with its decisions.
 *
 * @param since How far back, as a duration.
 * @param limit How many disagreements are listed.
 * @throws PermanentError for a model that has no decisions and that the settings do not name.
 */
export async function reportShadow(
  models: ReadonlyMap<string, ModelConfig>,
  database: Pick<Database, "listShadowUses" | "listDisagreements" | "countWithoutShadow">,
  { model, since, limit }: { model: string; since: string; limit?: number },
): Promise<ShadowReport> {
  const seconds = toMs(since) / 1000;
  const [uses, disagreements] = await Promise.all([
    database.listShadowUses(model, seconds),
    database.listDisagreements(model, seconds, limit),
  ]);
  const shadow = uses.length === 0 ? findModel(models, model).shadow : (models.get(model)?.shadow ?? null);
  const first = uses.map(({ from }) => from).toSorted()[0];
  const unjudged = first === undefined ? 0 : await database.countWithoutShadow(model, first);
  const about = { model, since, shadow: shadow && describeCondition(shadow), unjudged };
  return summarizeShadow(about, uses, disagreements);
}
