import type pg from "pg";
import { createRunId } from "../queues/run-id.ts";
import type { Config } from "../src/config/config.ts";
import { findModel } from "../src/config/find-model.ts";
import { evaluate } from "../src/core/evaluate.ts";
import type { Database } from "../src/postgres/database.ts";
import { createRedactor } from "../src/process/redact.ts";
import { draftRecord } from "../src/trainers/draft-decision.ts";
import { createTrainers } from "../src/trainers/registry.ts";
import { KINDS, MODELS, nameOf } from "./page-models.ts";

/** The first decision of a kind finds no training, the second one what the first has done. */
const ROUNDS = 2;

/**
 * Fills an empty database: drift checks and rows of 90 days for each model, and so many decisions with their events, dispatches
 * and approvals. The decisions are copies of real ones, with other ids and times.
 */
export async function fillTables(
  pool: pg.Pool,
  { config, database, decisions }: { config: Config; database: Database; decisions: number },
): Promise<void> {
  await pool.query(FILL_SOURCES.replaceAll("$models", String(MODELS)));
  await recordTemplates(config, database);
  await pool.query(KEEP_TEMPLATES);
  const copy = (sql: string): string =>
    sql
      .replaceAll("$decisions", String(decisions))
      .replaceAll("$models", String(MODELS))
      .replaceAll("$kinds", String(KINDS));
  for (const sql of [COPY_DECISIONS, COPY_DISPATCHES, COPY_EVENTS, FILL_REST]) await pool.query(copy(sql));
  // VACUUM runs in no transaction, so it is a message of its own.
  await pool.query("VACUUM ANALYZE");
}

/** Decides about one model of each kind as the service does. */
async function recordTemplates(config: Config, database: Database): Promise<void> {
  const trainers = await createTrainers(config, createRedactor(config.secrets));
  for (let place = 0; place < KINDS * ROUNDS; place += 1) {
    const model = nameOf((place % KINDS) + 1);
    const own = findModel(config.models, model);
    const trainer = trainers.of(model);
    const evidence = await database.fetchEvidence(model, own);
    const verdict = evaluate(evidence, own.policy);
    const judged = { runId: createRunId(), model, cause: "event", evidence, policy: own.policy, verdict };
    await database.recordDecision(draftRecord(judged, trainer));
  }
}

// Each model has a drift run of three features every three days. Of each seven models, two have drifted in the newest one.
const FILL_SOURCES = `
CREATE TABLE drift_log (model TEXT, metric TEXT, value FLOAT, limit_value FLOAT, fired BOOLEAN, created_at TIMESTAMPTZ);
CREATE TABLE row_log (model TEXT, arrived_at TIMESTAMPTZ);
CREATE TEMP TABLE drift_runs AS
SELECT number, 'm' || lpad(number::text, 4, '0') AS model, feature, run, limit_value,
  limit_value * CASE WHEN run = 0 AND number % 7 < 2 THEN 2 ELSE 0.2 + (number * 7 + run * 13) % 70 / 100.0 END AS value,
  now() - make_interval(days => 3 * run, mins => 5 + number % 600) AS at
FROM generate_series(1, $models) AS number, generate_series(0, 29) AS run,
  (VALUES ('rating_mean', 0.1), ('rating_std', 0.15), ('rating_distribution_ks', 0.05)) AS features (feature, limit_value);
INSERT INTO drift_log SELECT model, feature, value, limit_value, value > limit_value, at FROM drift_runs WHERE number % 3 <> 1;
INSERT INTO retraining_reported_checks (model, feature, score, threshold, triggered, samples, checked_at, run_id)
SELECT model, feature, value, limit_value, value > limit_value, 1000, at, 'run-' || run FROM drift_runs WHERE number % 3 = 1;
INSERT INTO row_log SELECT 'm' || lpad(number::text, 4, '0'), now() - make_interval(hours => part * 10)
FROM generate_series(1, $models) AS number, generate_series(1, 200) AS part WHERE number % 3 = 2;
INSERT INTO retraining_reported_growth (model, rows, batch, arrived_at, report_id)
SELECT 'm' || lpad(number::text, 4, '0'), 20 + number % 30, 'b' || part, now() - make_interval(days => part), 'report-' || part
FROM generate_series(1, $models) AS number, generate_series(1, 30) AS part WHERE number % 3 <> 2;
CREATE INDEX ON drift_log (model, created_at);
CREATE INDEX ON row_log (model, arrived_at);
ANALYZE drift_log, row_log, retraining_reported_checks, retraining_reported_growth`;

const KEEP_TEMPLATES = `
CREATE TABLE bench_templates AS
SELECT substr(model, 2)::int AS kind, row_number() OVER (PARTITION BY model ORDER BY decision.id) AS round, request, decision.*
FROM retraining_decisions AS decision LEFT JOIN retraining_dispatches ON decision_id = decision.id;
TRUNCATE retraining_decisions, retraining_dispatches, retraining_approvals, retraining_dispatch_counts RESTART IDENTITY CASCADE`;

// In turn, each model is decided about as often. Every fifth of its decisions is like the first of its kind, which may trigger.
const COPY_DECISIONS = `
INSERT INTO retraining_decisions (id, run_id, model, cause, decision_date, decision, reason, buffer_size, drift_score, notes,
  trainer, evidence, criteria, policy, policy_hash, alert_ids, previous_id, taken_at, reason_codes, next_look_at, newest_alert_at,
  explanation, forced, drift_ratio)
SELECT plan.id, gen_random_uuid(), 'm' || lpad(number::text, 4, '0'),
  CASE WHEN is_rare THEN 'manual' WHEN (plan.id + step) % 10 < 6 THEN 'event' WHEN (plan.id + step) % 10 < 9 THEN 'schedule' ELSE 'followup' END,
  at AT TIME ZONE 'UTC', decision, CASE WHEN is_rare AND decision = 'no_action' THEN 'data_quality' ELSE reason END,
  buffer_size + step % 20, drift_score, notes, trainer, jsonb_set(evidence, '{takenAt}', to_jsonb(at)), criteria, policy,
  policy_hash, alert_ids, CASE WHEN step > 0 THEN plan.id - $models END, at,
  CASE WHEN is_rare AND decision = 'no_action' THEN '{data_quality}' ELSE reason_codes END, next_look_at - taken_at + at,
  newest_alert_at, explanation, forced, drift_ratio * (0.5 + step % 20 / 20.0)
FROM (
  SELECT id, (id - 1) / $models AS step, (id - 1) % $models * 1237 % $models + 1 AS number,
    id < $decisions / 10 AND id % ($decisions / 100) = 7 AS is_rare,
    now() - (interval '90 days' - interval '1 minute') * (1 - id::float8 / $decisions) - interval '1 minute' AS at
  FROM generate_series(1, $decisions) AS id
) AS plan
JOIN bench_templates AS template ON kind = (number - 1) % $kinds + 1
  AND round = CASE WHEN (step + number) % 5 = 0 THEN 1 ELSE 2 END
ORDER BY plan.id;
SELECT setval(pg_get_serial_sequence('retraining_decisions', 'id'), $decisions);
ANALYZE retraining_decisions`;

// Only trainings of the last days may still be open.
const COPY_DISPATCHES = `
INSERT INTO retraining_dispatches (decision_id, model_name, trainer, state, request, settings_hash, external_id, url, error,
  created_at, updated_at, asked_at, started_at, ended_at, duration_seconds, conclusion)
SELECT id, model, trainer, state, request, 'bench', 'training-' || id, 'https://trainer.example/runs/' || id,
  CASE state WHEN 'rejected' THEN 'The workflow does not exist (404)' WHEN 'failed' THEN 'exited with code 1' END,
  taken_at, taken_at + interval '10 minutes', taken_at + interval '1 second', taken_at + interval '1 minute',
  CASE WHEN state IN ('succeeded', 'failed', 'cancelled') THEN taken_at + interval '10 minutes' END,
  CASE WHEN state IN ('succeeded', 'failed') THEN 540 END, CASE WHEN state IN ('succeeded', 'failed') THEN state END
FROM (
  SELECT decision.id, decision.model, decision.trainer, decision.taken_at, request,
    CASE WHEN decision.trainer = 'mock' THEN 'sent' WHEN part < 10 THEN 'failed' WHEN part < 15 THEN 'cancelled'
      WHEN part < 18 THEN 'rejected' WHEN decision.taken_at < now() - interval '1 day' THEN 'succeeded' WHEN part < 25 THEN 'unknown'
      WHEN part < 30 THEN 'pending' WHEN part < 40 THEN 'sent' WHEN part < 60 THEN 'running' ELSE 'succeeded' END AS state
  FROM (SELECT *, (id::bigint * 7919 + id / $models * 31) % 100 AS part FROM retraining_decisions WHERE decision LIKE 'trigger%') AS decision
  JOIN bench_templates ON kind = (substr(decision.model, 2)::int - 1) % $kinds + 1 AND round = 1
  ORDER BY decision.id
) AS planned;
INSERT INTO retraining_dispatch_steps (decision_id, at, state, is_request, external_id)
SELECT decision_id, asked_at + make_interval(secs => step * 60), CASE step WHEN 0 THEN 'pending' WHEN 1 THEN 'sent' ELSE state END,
  step = 0, external_id
FROM retraining_dispatches, generate_series(0, 2) AS step WHERE trainer <> 'mock' ORDER BY decision_id, step`;

// One event a decision; those of the last minutes wait for theirs.
const COPY_EVENTS = `
INSERT INTO retraining_events (model, event_run_id, job_key, status, source, completed_at, payload, outcome, run_id, received_at,
  decision_id)
SELECT model, 'drift-' || id, 'job-' || id, CASE WHEN has_failed THEN 'failed' ELSE 'success' END, 'airflow',
  taken_at - interval '20 seconds', json_build_object('runId', 'drift-' || id, 'status', 'success', 'source', 'airflow'),
  CASE WHEN has_failed THEN 'drift_run_failed' WHEN id % 3 = 0 THEN 'folded' ELSE 'started' END, run_id,
  CASE WHEN id > $decisions - 20 THEN taken_at + interval '1 second' ELSE taken_at - interval '10 seconds' END,
  CASE WHEN NOT has_failed AND id <= $decisions - 20 THEN id END
FROM (SELECT *, (id + id / $models) % 50 = 0 AS has_failed FROM retraining_decisions) AS decision ORDER BY id`;

const FILL_REST = `
INSERT INTO retraining_approvals (model, decision_id, state, requested_at, expires_at, answered_at, answered_by, reason)
SELECT model, id, CASE WHEN taken_at > now() - interval '1 day' THEN 'open' WHEN id % 3 = 0 THEN 'rejected' ELSE 'used' END, taken_at,
  taken_at + interval '1 day', CASE WHEN taken_at < now() - interval '1 day' THEN taken_at + interval '1 hour' END, 'ada', 'checked'
FROM retraining_decisions WHERE reason_codes @> ARRAY['awaiting_approval'] AND id % 7 = 0 ORDER BY id;
INSERT INTO retraining_snoozes (model, until, reason, snoozed_by)
SELECT 'm' || lpad((number * 50)::text, 4, '0'), now() + interval '2 days', 'data migration', 'ada'
FROM generate_series(1, $models / 50) AS number;
INSERT INTO retrigger_audit (at, actor, role, means, address, action, target, result, status, finished_at)
SELECT now() - make_interval(mins => 20000 - number), 'ada', 'operator', 'session', '127.0.0.1', 'POST',
  '/decisions/' || number * 5 || '/retry', 'done', 303, now() - make_interval(mins => 20000 - number)
FROM generate_series(1, 20000) AS number`;
