import { join } from "node:path";
import { queryOnce } from "../support/database-url.ts";
import { runScript } from "../support/process.ts";
import { createSourceDatabase } from "../support/template.ts";

/** The database that each run copies, with one triggered alert in the source tables and our tables migrated. */
export const TEMPLATE = "sandbox_template";

export async function createTemplate(databaseUrl: string, root: string): Promise<void> {
  const url = await createSourceDatabase(databaseUrl, TEMPLATE);
  await queryOnce(
    url,
    `INSERT INTO drift_alerts (alert_date, feature_name, drift_score, threshold, alert_triggered)
       SELECT now() AT TIME ZONE 'UTC', 'rating_distribution_ks', 0.0975, 0.05, true;
       INSERT INTO ratings_buffer SELECT n, n, 3.5, n, 'batch_w1' FROM generate_series(1, 100) n`,
  );
  const { code, stderr } = await runScript(join(root, "src/cli.ts"), ["migrate"], {
    DATABASE_URL: url,
    REDIS_URL: "redis://127.0.0.1:1",
  });
  if (code !== 0) throw new Error(`The template database was not migrated: ${stderr}`);
}
