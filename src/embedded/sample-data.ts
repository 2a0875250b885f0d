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
ANALYZE ratings_buffer;
SELECT setval('drift_alerts_id_seq', 148);`;

/** The weeks before the guide's event, in which nothing drifts. */
export const QUIET_WEEKS = 6;

/**
 * Creates the source tables and fills them with the guide's data: six quiet weekly drift runs, then one five minutes ago whose
 * alert #148 has KS 0.0975 over 0.05, and 100,000 ratings a week.
 */
export async function loadSampleData(databaseUrl: string, scenario: ScenarioNumber): Promise<void> {
  const client = new Client(databaseUrl);
  await client.connect();
  try {
    await client.query(SOURCE_TABLES);
    const { rows } = await client.query<{ now: Date }>("SELECT now()");
    const now = rows[0]?.now ?? new Date();
    for (let weeksAgo = QUIET_WEEKS; weeksAgo >= 0; weeksAgo -= 1)
      await loadSampleWeek(client, scenario, { weeksAgo, now });
    await completeSampleData(client);
  } finally {
    await client.end();
  }
}

/** Adds one week of `loadSampleData`: its drift run and its ratings, as far as the scenario has them. */
export async function loadSampleWeek(
  client: Pick<Client, "query">,
  scenario: ScenarioNumber,
  { weeksAgo, now }: { weeksAgo: number; now: Date },
): Promise<void> {
  const { batches, ratingsPerBatch, drift } = SCENARIOS[scenario];
  const checks = weeksAgo > 0 ? QUIET_CHECKS : LATEST_CHECKS[drift];
  const at = new Date(now.getTime() - weeksAgo * WEEK_MS);
  if (checks !== null) {
    // The ids lead up to the guide's alert #148, the last one of its run.
    const firstId = 146 - 3 * weeksAgo;
    await client.query(DRIFT_RUN, [firstId, at, JSON.stringify(checks)]);
  }
  const batch = batches - weeksAgo;
  if (batch >= 1) await client.query(RATINGS, [at, `batch_w${batch}`, ratingsPerBatch]);
}

/** Adds what is cheaper once all rows are there. */
export async function completeSampleData(client: Pick<Client, "query">): Promise<void> {
  await client.query(SOURCE_INDEXES);
}

const WEEK_MS = 7 * 86_400_000;

interface SampleCheck {
  feature: string;
  score: number;
  threshold: number;
  notes: string;
}

const QUIET_CHECKS: readonly SampleCheck[] = [
  { feature: "rating_std", score: 0.0027, threshold: 0.15, notes: "Baseline: 1.042, New: 1.045" },
  { feature: "rating_mean", score: 0.011, threshold: 0.1, notes: "Baseline: 3.540, New: 3.551" },
  { feature: "rating_distribution_ks", score: 0.014, threshold: 0.05, notes: "KS test p-value: 0.2310" },
];

/** The drift run of the present week. */
const LATEST_CHECKS: Readonly<Record<"triggered" | "quiet" | "none", readonly SampleCheck[] | null>> = {
  triggered: latestChecks(0.0975, 0.045),
  quiet: latestChecks(0.0176, 0.0097),
  none: null,
};

function latestChecks(ks: number, mean: number): SampleCheck[] {
  return [
    { feature: "rating_std", score: 0.012, threshold: 0.15, notes: "Baseline: 1.042, New: 1.054" },
    { feature: "rating_mean", score: mean, threshold: 0.1, notes: "Baseline: 3.540, New: 3.585" },
    { feature: "rating_distribution_ks", score: ks, threshold: 0.05, notes: "KS test p-value: 0.0000" },
  ];
}

// $1 the first id, $2 the end of the week, $3 the checks; they were run five minutes before that end.
const DRIFT_RUN = `
INSERT INTO drift_alerts (id, alert_date, feature_name, drift_score, threshold, alert_triggered, notes)
SELECT $1::int + position - 1,
       ($2::timestamptz AT TIME ZONE 'UTC') - interval '5 minutes' + make_interval(secs => (position - 1) / 100.0),
       test ->> 'feature', score, threshold, score > threshold, test ->> 'notes'
FROM json_array_elements($3::json) WITH ORDINALITY AS listed (test, position),
  LATERAL (SELECT (test ->> 'score')::float8, (test ->> 'threshold')::float8) AS figures (score, threshold)`;

// One batch: $1 the end of its week, $2 its name, $3 how many ratings. The values are not random, so every demo shows the same.
const RATINGS = `
INSERT INTO ratings_buffer
SELECT rating % 6040 + 1, rating % 3900 + 1, 0.5 + (rating % 10) * 0.5,
       extract(epoch FROM $1::timestamptz)::bigint - rating % 604800, $2::text, $1::timestamptz AT TIME ZONE 'UTC'
FROM generate_series(1, $3::int) AS rating`;
