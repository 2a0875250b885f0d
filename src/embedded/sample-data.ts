import { Client } from "pg";

/** The guide's four testing scenarios, by their number there. */
export const SCENARIOS = {
  1: { title: "drift and 700,000 ratings", batches: 7, ratingsPerBatch: 100_000, drift: "triggered" },
  2: { title: "drift, but only 30,000 ratings", batches: 1, ratingsPerBatch: 30_000, drift: "triggered" },
  3: { title: "no drift, 100,000 ratings", batches: 1, ratingsPerBatch: 100_000, drift: "quiet" },
  4: { title: "no recent drift checks", batches: 7, ratingsPerBatch: 100_000, drift: "none" },
} as const;
export type ScenarioNumber = keyof typeof SCENARIOS;

/** The source tables as the surrounding system creates them. */
export const SOURCE_TABLES = `
CREATE TABLE drift_alerts (
  id SERIAL PRIMARY KEY,
  alert_date TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
  feature_name VARCHAR(100),
  drift_score FLOAT,
  threshold FLOAT,
  alert_triggered BOOLEAN,
  notes TEXT
);
CREATE TABLE ratings_buffer (
  "userId" INTEGER NOT NULL,
  "movieId" INTEGER NOT NULL,
  rating FLOAT NOT NULL CHECK (rating >= 0.5 AND rating <= 5.0),
  timestamp BIGINT NOT NULL,
  batch_id VARCHAR(50),
  ingested_at TIMESTAMP
);`;

// Created after the rows: building an index at once takes a third of the time of building it row by row.
const SOURCE_INDEXES = `
CREATE INDEX idx_buffer_batch ON ratings_buffer(batch_id);
CREATE INDEX idx_buffer_ingested ON ratings_buffer(ingested_at);
ANALYZE ratings_buffer;`;

/**
 * Creates the source tables and fills them with the guide's data: six quiet weekly drift runs, then one five minutes ago whose
 * alert #148 has KS 0.0975 over 0.05, and 100,000 ratings a week.
 */
export async function loadSampleData(databaseUrl: string, scenario: ScenarioNumber): Promise<void> {
  const { batches, ratingsPerBatch, drift } = SCENARIOS[scenario];
  const client = new Client(databaseUrl);
  await client.connect();
  try {
    await client.query(SOURCE_TABLES);
    await client.query(QUIET_WEEKS);
    if (drift !== "none")
      await client.query(LATEST_DRIFT_RUN, drift === "triggered" ? [0.0975, 0.045] : [0.0176, 0.0097]);
    await client.query(RATINGS, [batches, ratingsPerBatch]);
    await client.query(SOURCE_INDEXES);
  } finally {
    await client.end();
  }
}

// The ids lead up to the guide's alert #148, the last one of its run. The newest quiet week is a week ago.
const QUIET_WEEKS = `
INSERT INTO drift_alerts (id, alert_date, feature_name, drift_score, threshold, alert_triggered, notes)
SELECT 128 + 3 * (6 - week) + test.position,
       (now() AT TIME ZONE 'UTC') - make_interval(days => 7 * week, mins => 5) + make_interval(secs => test.position / 100.0),
       test.feature, test.score, test.threshold, false, test.notes
FROM generate_series(1, 6) AS week
CROSS JOIN (VALUES
  (0, 'rating_std', 0.0027, 0.15, 'Baseline: 1.042, New: 1.045'),
  (1, 'rating_mean', 0.0110, 0.10, 'Baseline: 3.540, New: 3.551'),
  (2, 'rating_distribution_ks', 0.0140, 0.05, 'KS test p-value: 0.2310')
) AS test (position, feature, score, threshold, notes);
SELECT setval('drift_alerts_id_seq', 148);`;

const LATEST_DRIFT_RUN = `
INSERT INTO drift_alerts (id, alert_date, feature_name, drift_score, threshold, alert_triggered, notes)
SELECT 146 + position,
       (now() AT TIME ZONE 'UTC') - interval '5 minutes' + make_interval(secs => position / 100.0),
       feature, score, threshold, score > threshold, notes
FROM (VALUES
  (0, 'rating_std', 0.0120::float8, 0.15::float8, 'Baseline: 1.042, New: 1.054'),
  (1, 'rating_mean', $2::float8, 0.10::float8, 'Baseline: 3.540, New: 3.585'),
  (2, 'rating_distribution_ks', $1::float8, 0.05::float8, 'KS test p-value: 0.0000')
) AS test (position, feature, score, threshold, notes)`;

// One week of ratings per batch, the last week ending now. The values are not random, so every demo shows the same.
const RATINGS = `
INSERT INTO ratings_buffer
SELECT rating % 6040 + 1, rating % 3900 + 1, 0.5 + (rating % 10) * 0.5,
       extract(epoch FROM now())::bigint - ($1::int - week) * 604800 - rating % 604800,
       'batch_w' || week, (now() AT TIME ZONE 'UTC') - make_interval(days => 7 * ($1::int - week))
FROM generate_series(1, $1::int) AS week, generate_series(1, $2::int) AS rating`;
