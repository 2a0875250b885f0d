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

async function diagnoseSources(
  database: Database,
  model: string,
  { source }: ModelConfig,
): Promise<Finding[]> {
  const faults = await database.findSourceFaults(model, source);
  if (faults.length > 0) return faults.map(({ message, remedy }) => fault(message, remedy));
  return [source.checks, source.buffer].map((part) =>
    ok(`${model}: ${part.kind === "table" ? part.table : "what is reported"} has the required columns`),
  );
}
