import { Client } from "pg";
import type { ReportedCheck } from "../../queues/reports.ts";
import type { Config } from "../config/config.ts";
import type { Database } from "../postgres/database.ts";

/**
 * Creates the tables of retrigger.example.yaml that the settings name, and fills them so that each of its models comes to
 * another outcome. Other tables are not made up. Returns the models that have such data.
 */
export async function loadExampleData(
  { databaseUrl, models }: Pick<Config, "databaseUrl" | "models">,
  database: Pick<Database, "saveChecks" | "saveGrowth">,
): Promise<string[]> {
  const tables = new Set<string>();
  const filled: string[] = [];
  for (const [model, { source }] of models) {
    const parts = source.database === null ? [source.checks, source.buffer] : [];
    const named = parts.flatMap((part) =>
      part.kind === "table" && part.table in TABLES ? [part.table] : [],
    );
    for (const table of named) tables.add(table);
    const isReported = model === REPORTED_MODEL && parts.some(({ kind }) => kind === "reported");
    if (isReported) await reportFraud(database);
    if (named.length > 0 || isReported) filled.push(model);
  }
  const client = new Client(databaseUrl);
  await client.connect();
  try {
    for (const table of tables) await client.query(TABLES[table] ?? "");
  } finally {
    await client.end();
  }
  return filled;
}

/** What creates and fills each table, by its name. The values are not random, so every demo shows the same. */
const TABLES: Readonly<Record<string, string>> = {
  // Six quiet weekly drift runs, then one five minutes ago in which two of three metrics drift.
  "films.drift_log": `
CREATE SCHEMA IF NOT EXISTS films;
CREATE TABLE films.drift_log (
  id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  created_at TIMESTAMPTZ NOT NULL,
  metric TEXT NOT NULL,
  value NUMERIC NOT NULL,
  "limit" NUMERIC NOT NULL,
  fired BOOLEAN NOT NULL,
  n INTEGER NOT NULL
);
INSERT INTO films.drift_log (created_at, metric, value, "limit", fired, n)
SELECT now() - make_interval(days => 7 * week, mins => 5) + make_interval(secs => position / 100.0),
       metric, score, threshold, score > threshold, 12000 - 100 * week
FROM generate_series(6, 0, -1) AS week
CROSS JOIN LATERAL (VALUES
  (0, 'watch_time_mean', CASE week WHEN 0 THEN 0.0450 ELSE 0.0110 END, 0.10),
  (1, 'genre_psi', CASE week WHEN 0 THEN 0.3100 ELSE 0.0620 END, 0.20),
  (2, 'rating_ks', CASE week WHEN 0 THEN 0.0975 ELSE 0.0140 END, 0.05)
) AS test (position, metric, score, threshold)
ORDER BY week DESC, position;`,

  // 12,000 events a week for seven weeks, each loaded an hour after it happened.
  "films.events": `
CREATE SCHEMA IF NOT EXISTS films;
CREATE TABLE films.events (
  film_id INTEGER NOT NULL,
  viewer_id INTEGER NOT NULL,
  event_time TIMESTAMPTZ NOT NULL,
  loaded_at TIMESTAMPTZ NOT NULL
);
INSERT INTO films.events
SELECT event % 3900 + 1, event % 6040 + 1, happened - interval '1 hour', happened
FROM generate_series(0, 83999) AS event, LATERAL (SELECT now() - event * interval '7 days' / 12000) AS at (happened);
CREATE INDEX ON films.events (loaded_at);
ANALYZE films.events;`,

  // No drift at all: this model is retrained for its waiting data.
  "prices.drift_checks": `
CREATE SCHEMA IF NOT EXISTS prices;
CREATE TABLE prices.drift_checks (
  id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  alert_date TIMESTAMPTZ NOT NULL,
  feature_name TEXT NOT NULL,
  drift_score FLOAT NOT NULL,
  threshold FLOAT NOT NULL,
  alert_triggered BOOLEAN NOT NULL
);
INSERT INTO prices.drift_checks (alert_date, feature_name, drift_score, threshold, alert_triggered)
SELECT now() - make_interval(days => day, mins => 5), feature, score, threshold, false
FROM generate_series(9, 0, -1) AS day
CROSS JOIN (VALUES ('price_mean', 0.021, 0.10), ('volume_psi', 0.054, 0.20)) AS test (feature, score, threshold)
ORDER BY day DESC;`,

  // 960 quotes a day for ten days: together they have waited 48,000 row-days.
  "prices.quotes": `
CREATE SCHEMA IF NOT EXISTS prices;
CREATE TABLE prices.quotes (
  item_id INTEGER NOT NULL,
  price NUMERIC NOT NULL,
  batch_id TEXT NOT NULL,
  ingested_at TIMESTAMPTZ NOT NULL
);
INSERT INTO prices.quotes
SELECT quote % 500 + 1, 5 + quote % 95, CASE WHEN quote > 4800 THEN 'quotes_1' ELSE 'quotes_2' END,
       now() - quote * interval '1 day' / 960
FROM generate_series(1, 9600) AS quote;
CREATE INDEX ON prices.quotes (ingested_at);
ANALYZE prices.quotes;`,
};

/** The model of the example whose detectors and pipelines report to Retrigger. */
const REPORTED_MODEL = "fraud";

/** The reports of three days, as `report-checks` and `report-buffer` would save them: only the newest has an alert. */
async function reportFraud(database: Pick<Database, "saveChecks" | "saveGrowth">): Promise<void> {
  const source = "npm run demo";
  for (const day of [2, 1, 0]) {
    const checkedAt = new Date(Date.now() - day * DAY_MS - 5 * 60_000).toISOString();
    const checks: ReportedCheck[] = [
      { feature: "amount_psi", score: day === 0 ? 0.34 : 0.08, threshold: 0.2 },
      { feature: "merchant_ks", score: 0.031, threshold: 0.05 },
      { feature: "null_rate", score: 0.002, threshold: 0.01 },
    ].map((check) => ({ ...check, samples: 4_200, checkedAt }));
    await database.saveChecks(REPORTED_MODEL, checks, { runId: `sample-${checkedAt}`, source });
    await database.saveGrowth(REPORTED_MODEL, { rows: 4_200, id: `sample-${checkedAt}`, at: checkedAt });
  }
}

const DAY_MS = 86_400_000;
