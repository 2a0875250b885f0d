import { toMs } from "../core/duration.ts";
import { EVIDENCE_LIMITS } from "../core/evidence.ts";
import type { PolicyNeeds } from "../core/policy.ts";
import { buildAnswers, describeAlerts, IN_FLIGHT, type OwnReading, WEIGHED } from "./answers-sql.ts";
import { buildBuffer } from "./buffer-sql.ts";
import { buildChecks, type StatementPart } from "./checks-sql.ts";
import { describeInterventions } from "./interventions.ts";
import { describeSigns, selectNewestCheck } from "./monitoring-sql.ts";
import { createParameters, type Parameters, type Statement } from "./parameters.ts";
import { describeColumns } from "./source-columns.ts";
import type { SourceTables } from "./source-tables.ts";
import {
  buildLastSuccess,
  describeEarlierSize,
  describeTrainings,
  LAST_SUCCESS,
  LAST_TRAINING,
} from "./trainings-sql.ts";

/** What is read for a decision. */
export interface EvidenceReading {
  model: string;
  needs: PolicyNeeds;
  isSinceTraining: boolean;
  /** Whether drift runs are expected at intervals, so that their last sign is read. */
  expectsDriftRuns: boolean;
  /** Only a training of this trainer counts as an answer to an alert. */
  trainer: string;
  /** How long after its last sign of life a training holds its model. */
  flightLimitSeconds: number;
  /** A training that has not been requested within this time never will be. */
  evidenceMaxAgeSeconds: number;
  /** IANA zone of times without one. */
  timeZone: string;
}

/** Reads everything in one statement: one snapshot, one round trip. */
export function buildEvidence(reading: EvidenceReading, tables: SourceTables): Statement {
  const parameters = createParameters();
  const own = addOwnParameters(parameters, reading);
  const sources = buildSources(reading, tables, { ...own, lastTraining: LAST_TRAINING }, parameters);
  const { ctes, entries } = describeOwn(reading, own, parameters);
  const newestCheck = reading.expectsDriftRuns && selectNewestCheck(tables.checks, own.zone, parameters);
  return {
    text: assemble([lastSuccess(reading, own), ...sources.checks.ctes, ...sources.buffer.ctes, ...ctes], {
      columns: sources.columns,
      checks: sources.checks.json,
      buffer: sources.buffer.json,
      ...entries,
      ...(newestCheck ? { signs: describeSigns({ ...own, newestCheck }, decisionInstant(own)) } : {}),
    }),
    parameters: parameters.list,
  };
}

/** The parts that read the source tables. */
function buildSources(
  { needs, isSinceTraining }: EvidenceReading,
  { checks, buffer }: SourceTables,
  { zone, lastTraining }: Pick<OwnReading, "zone"> & { lastTraining: string },
  parameters: Parameters,
): { checks: StatementPart; buffer: StatementPart; columns: string } {
  const { quietChecks, weighsScores, growth, waiting } = needs;
  const within = parameters.integer(toSeconds(needs.within));
  const reach = quietChecks ? parameters.integer(toSeconds(needs.reach)) : null;
  return {
    checks: buildChecks(checks, { zone, within, reach, weighsScores, isRemote: false }, parameters),
    buffer: buildBuffer(buffer, { zone, lastTraining, isSinceTraining, growth, waiting }, parameters),
    columns: describeColumns([checks, buffer]),
  };
}

function addOwnParameters(parameters: Parameters, reading: EvidenceReading): OwnReading {
  const { needs } = reading;
  return {
    model: parameters.text(reading.model),
    zone: parameters.text(reading.timeZone),
    trainer: parameters.text(reading.trainer),
    reach: parameters.integer(toSeconds(needs.quietChecks ? needs.reach : needs.within)),
    flightLimit: parameters.integer(Math.ceil(reading.flightLimitSeconds)),
    evidenceMaxAge: parameters.integer(reading.evidenceMaxAgeSeconds),
  };
}

function lastSuccess({ trainer }: EvidenceReading, own: OwnReading): string {
  return buildLastSuccess(own, trainer, decisionInstant(own));
}

/** The parts that read our own tables. They need `weighed` and `last_success`. */
function describeOwn(
  { needs, trainer }: EvidenceReading,
  own: OwnReading,
  parameters: Parameters,
): { ctes: string[]; entries: Record<string, string> } {
  const toInstant = decisionInstant(own);
  const secondsOf = (duration: string | null): string | null =>
    duration === null ? null : parameters.integer(toSeconds(duration));
  const trainings = {
    trainer,
    lastTraining: needs.lastTraining,
    durations: needs.waiting,
    requestedWithin: secondsOf(needs.requestedWithin),
    requestedByAllWithin: secondsOf(needs.requestedByAllWithin),
  };
  return {
    ctes: [
      ...buildAnswers(own),
      `latest_decisions AS (
  SELECT id, ${toInstant("decision_date")} AS decided_at, decision, buffer_size, drift_score, next_look_at,
    explanation #>> '{driftRuns,state}' AS drift_runs
  FROM retraining_decisions WHERE model = ${own.model} ORDER BY id DESC LIMIT ${EVIDENCE_LIMITS.decisions}
)`,
    ],
    entries: {
      takenAt: "now()",
      weighed: WEIGHED,
      alerts: describeAlerts(toInstant("min(decision_date)")),
      inFlight: IN_FLIGHT,
      lastSuccess: LAST_SUCCESS,
      earlier: describeEarlierSize(own),
      trainings: describeTrainings(own, trainings, toInstant),
      interventions: describeInterventions(own.model),
      lastDecisions: `COALESCE((SELECT json_agg(json_build_object(
      'id', id, 'decidedAt', decided_at, 'decision', decision, 'bufferSize', buffer_size, 'driftScore', drift_score,
      'nextLookAt', next_look_at, 'driftRuns', drift_runs)
      ORDER BY id DESC) FROM latest_decisions), '[]')`,
    },
  };
}

/** `decision_date` has no zone unless somebody changed the DAG's table. */
function decisionInstant({ zone }: OwnReading): (column: string) => string {
  return (column) =>
    `CASE WHEN pg_typeof(${column}) = 'timestamptz'::regtype THEN ${column}::timestamptz ELSE ${column}::timestamp AT TIME ZONE ${zone} END`;
}

function assemble(ctes: readonly string[], entries: Readonly<Record<string, string>>): string {
  const list = Object.entries(entries).map(([key, sql]) => `'${key}', ${sql}`);
  return `WITH ${ctes.join(", ")}\nSELECT json_build_object(\n  ${list.join(",\n  ")}\n) AS evidence`;
}

function toSeconds(duration: string): number {
  return Math.ceil(toMs(duration) / 1000);
}
