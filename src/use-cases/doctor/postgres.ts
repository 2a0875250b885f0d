import type { Config, ModelConfig } from "../../config/config.ts";
import { messageOf } from "../../core/errors.ts";
import { fault, type Finding, ok } from "../../core/finding.ts";
import type { Database } from "../../postgres/database.ts";
import { databaseAddress } from "../../postgres/explain-error.ts";

/** Checks the database, the source tables of each model, and the migrations. */
export async function diagnosePostgres(config: Config, database: Database): Promise<Finding[]> {
  try {
    await database.ping();
  } catch (error) {
    return [fault(messageOf(error))];
  }
  const findings = [ok(`Postgres at ${databaseAddress(config.databaseUrl)} responds`)];
  for (const [model, modelConfig] of config.models)
    findings.push(...(await diagnoseSources(database, model, modelConfig)));
  try {
    const pending = await database.findPendingMigrations();
    findings.push(
      pending.length === 0
        ? ok("Retrigger's tables are up to date")
        : fault(`Migrations have not run: ${pending.join(", ")}`, "npx retrigger migrate"),
    );
  } catch (error) {
    findings.push(fault(messageOf(error), "npx retrigger migrate, as a user who may create tables"));
  }
  return findings;
}

const SOURCE_COLUMNS = {
  driftAlertsTable: [
    "id",
    "alert_date",
    "feature_name",
    "drift_score",
    "threshold",
    "alert_triggered",
    "notes",
  ],
  ratingsBufferTable: ["timestamp", "batch_id"],
} as const;

async function diagnoseSources(
  database: Database,
  model: string,
  modelConfig: ModelConfig,
): Promise<Finding[]> {
  const findings: Finding[] = [];
  for (const [key, needed] of Object.entries(SOURCE_COLUMNS)) {
    const table = modelConfig[key as keyof typeof SOURCE_COLUMNS];
    const setting = key === "driftAlertsTable" ? "DRIFT_ALERTS_TABLE" : "RATINGS_BUFFER_TABLE";
    const columns = await database.listColumns(table);
    const missing = needed.filter((column) => !columns?.readable.includes(column));
    if (columns === null) {
      findings.push(
        fault(
          `${model}: the table or view ${table} does not exist`,
          `create it, or name another one in ${setting}`,
        ),
      );
    } else if (missing.some((column) => !columns.all.includes(column))) {
      const absent = missing.filter((column) => !columns.all.includes(column));
      findings.push(
        fault(
          `${model}: ${table} has no column ${absent.join(", ")}`,
          `add it, or name a view that has it in ${setting}`,
        ),
      );
    } else if (missing.length > 0) {
      findings.push(
        fault(
          `${model}: this user may not read ${table}`,
          `GRANT SELECT ON ${table} TO the user of DATABASE_URL`,
        ),
      );
    } else {
      findings.push(ok(`${model}: ${table} has the required columns`));
    }
  }
  return findings;
}
