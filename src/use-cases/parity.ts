import type { ConfigWithoutRedis } from "../config/config.ts";
import { findModel } from "../config/find-model.ts";
import { PermanentError } from "../core/errors.ts";
import { formatCount, formatInstant } from "../core/format.ts";
import { compareWithDag } from "../core/parity/compare.ts";
import type { ParityReport } from "../core/parity/lines.ts";
import type { PointInTime } from "../core/point-in-time.ts";
import type { Database } from "../postgres/database.ts";
import { MOST_COMPARED } from "../postgres/parity-rows.ts";

/** The name that a row gets if its writer names no model, such as the DAG. */
const UNNAMED = "default";

/**
 * Compares what the DAG and Retrigger decided about a model.
 *
 * @throws PermanentError if one side decided nothing in the period, or too much to compare.
 */
export async function compareModel(
  { models }: Pick<ConfigWithoutRedis, "models">,
  database: Pick<Database, "readParityRows">,
  model: string,
  since: PointInTime,
): Promise<ParityReport> {
  findModel(models, model);
  // The DAG names no model: its rows are those of the model that took its place, whatever that is called now.
  const dagModels = models.has(UNNAMED) ? [model] : [model, UNNAMED];
  const { dag, own, since: start, now } = await database.readParityRows(model, dagModels, since);
  if (dag.length === 0)
    throw nothing(`The DAG wrote no row since ${formatInstant(start)}`, model, models.has(UNNAMED));
  if (own.length === 0)
    throw new PermanentError(
      "NO_DATA",
      `Retrigger made no decision about ${model} since ${formatInstant(start)}. Choose an earlier --since, or let events arrive first`,
    );
  if (dag.length > MOST_COMPARED || own.length > MOST_COMPARED)
    throw new PermanentError(
      "TOO_MUCH_DATA",
      `There are more than ${formatCount(MOST_COMPARED)} decisions since ${formatInstant(start)}. Choose a later --since`,
    );
  return { model, since: start, until: now, ...compareWithDag(dag, own, { since: start, now }) };
}

function nothing(what: string, model: string, hasUnnamed: boolean): PermanentError {
  const where =
    hasUnnamed && model !== UNNAMED
      ? `Its rows are those of the model ${UNNAMED}: compare that one`
      : "Its rows have no run_id in retraining_decisions: choose an earlier --since, or check that it still runs and writes to this database";
  return new PermanentError("NO_DATA", `${what}. ${where}`);
}
