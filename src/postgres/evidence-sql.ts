import { toMs } from "../core/duration.ts";
import { EVIDENCE_LIMITS } from "../core/evidence.ts";
import type { PolicyNeeds } from "../core/policy.ts";
import { moreTrainings, needSameChecks } from "../core/shadow-needs.ts";
import {
  buildAnswers,
  describeAnswered,
  FAILURES,
  IN_FLIGHT,
  type OwnReading,
  describeWeighed,
} from "./answers-sql.ts";
import { buildBuffer } from "./buffer-sql.ts";
import { buildChecks, scanChecks, type StatementPart, WEIGHED_COLUMNS } from "./checks-sql.ts";
import { describeInterventions } from "./interventions.ts";
import { describeSigns, selectNewestCheck } from "./monitoring-sql.ts";
import { createParameters, type Parameters, type Statement } from "./parameters.ts";
import type { ChecksTable, SourceTables } from "./source-tables.ts";
import {
  buildLastSuccess,
  describeEarlierSize,
  describeLastSuccess,
  describeReadSuccess,
  describeTrainings,
  LAST_TRAINING,
} from "./trainings-sql.ts";

/** What is read for a decision. */
export interface EvidenceReading {
  model: string;
  needs: PolicyNeeds;
  /** What a shadow policy needs, which is read beside it; null without one. */
  shadowNeeds: PolicyNeeds | null;
  /** Whether the buffer counts only what arrived since the last successful training. */
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

/**
 * Reads our own tables, and the source tables that are in the same database, in one statement: one snapshot, one round
 * trip. If the checks are elsewhere, the first parameter is `weighed` as `buildSourceReading` returned it.
 */
export function buildEvidence(reading: EvidenceReading, tables: Partial<SourceTables>): Statement {
  const parameters = createParameters();
  const rows = tables.checks ? null : parameters.text("[]");
  const own = addOwnParameters(parameters, reading);
  const source = { zone: own.zone, lastTraining: LAST_TRAINING, isRemote: false };
  const { checks, shadowChecks, buffer } = buildSources(reading, tables, source, parameters);
  const { ctes, entries } = describeOwn(reading, own, parameters);
  const newestCheck =
    reading.expectsDriftRuns &&
    (tables.checks ? selectNewestCheck(tables.checks, own.zone, parameters) : "NULL::timestamptz");
  const weighed =
    rows === null
      ? []
      : [
          `weighed AS MATERIALIZED (SELECT * FROM json_to_recordset(${rows}::json) AS listed (${WEIGHED_COLUMNS}))`,
        ];
  return {
    text: assemble([...ctes.before, ...(checks?.ctes ?? weighed), ...(buffer?.ctes ?? []), ...ctes.after], {
      ...(checks && { checks: checks.json }),
      ...(shadowChecks && { shadowChecks: shadowChecks.json }),
      ...(buffer && { buffer: buffer.json }),
      ...entries,
      ...(newestCheck ? { signs: describeSigns({ ...own, newestCheck }, decisionInstant(own)) } : {}),
    }),
    parameters: parameters.list,
  };
}

/**
 * Reads the source tables of another database. The first parameter is the snapshot since which data is new, or
 * `-infinity`.
 */
export function buildSourceReading(reading: EvidenceReading, tables: Partial<SourceTables>): Statement {
  const parameters = createParameters();
  const lastTraining = `${parameters.text("-infinity")}::timestamptz`;
  const source = { zone: parameters.text(reading.timeZone), lastTraining, isRemote: true };
  const { checks, shadowChecks, buffer } = buildSources(reading, tables, source, parameters);
  return {
    text: assemble([...(checks?.ctes ?? []), ...(buffer?.ctes ?? [])], {
      ...(checks && {
        checks: checks.json,
        weighed: "COALESCE((SELECT json_agg(weighed) FROM weighed), '[]')",
      }),
      ...(shadowChecks && { shadowChecks: shadowChecks.json }),
      ...(buffer && { buffer: buffer.json }),
      ...(reading.expectsDriftRuns && tables.checks
        ? { newestCheckAt: selectNewestCheck(tables.checks, source.zone, parameters) }
        : {}),
    }),
    parameters: parameters.list,
  };
}

/** Counts the buffer alone, for models that share the count. The result has `takenAt`, the time of its snapshot. */
export function buildCount(
  reading: Pick<EvidenceReading, "timeZone">,
  { buffer: table }: Partial<SourceTables>,
): Statement {
  if (!table) throw new Error("the source has no buffer in this database");
  const parameters = createParameters();
  const zone = parameters.text(reading.timeZone);
  const own = {
    zone,
    lastTraining: "'-infinity'",
    isRemote: false,
    isSinceTraining: false,
    growth: false,
    waiting: false,
  };
  const { ctes, json } = buildBuffer(table, own, parameters);
  return { text: assemble(ctes, { takenAt: "now()", buffer: json }), parameters: parameters.list };
}

/** Reads the clock and, before the source is read, since when its data is new. */
export function buildStart(reading: Pick<EvidenceReading, "model" | "timeZone" | "trainer">): Statement {
  const parameters = createParameters();
  const { model, zone, trainer } = {
    model: parameters.text(reading.model),
    zone: parameters.text(reading.timeZone),
    trainer: parameters.text(reading.trainer),
  };
  return {
    text: assemble([buildLastSuccess({ model, trainer }, reading.trainer, decisionInstant({ zone }))], {
      takenAt: "now()",
      lastSuccess: describeReadSuccess({ model }),
    }),
    parameters: parameters.list,
  };
}

interface SourceReading {
  zone: string;
  /** The snapshot since which data is new, as SQL. */
  lastTraining: string;
  isRemote: boolean;
}

interface SourceParts {
  checks: StatementPart | null;
  /** What the shadow policy sees; null if that is the same. */
  shadowChecks: Pick<StatementPart, "json"> | null;
  buffer: StatementPart | null;
}

/** The parts that read the source tables. */
function buildSources(
  reading: EvidenceReading,
  { checks, buffer }: Partial<SourceTables>,
  source: SourceReading,
  parameters: Parameters,
): SourceParts {
  const { needs, shadowNeeds, isSinceTraining } = reading;
  const growth = needs.growth || shadowNeeds?.growth === true;
  const waiting = needs.waiting || shadowNeeds?.waiting === true;
  return {
    ...(checks ? buildChecksOf(reading, checks, source, parameters) : { checks: null, shadowChecks: null }),
    buffer: buffer ? buildBuffer(buffer, { ...source, isSinceTraining, growth, waiting }, parameters) : null,
  };
}

/**
 * The policy's checks and, if the shadow policy needs others, its own: each exactly as it would be without the other, from rows
 * that are read once.
 */
function buildChecksOf(
  reading: EvidenceReading,
  table: ChecksTable,
  source: SourceReading,
  parameters: Parameters,
): Pick<SourceParts, "checks" | "shadowChecks"> {
  const build = (needs: PolicyNeeds, names: { prefix: string; scanned: string | null }): StatementPart => {
    const within = parameters.integer(toSeconds(needs.within));
    const reach = needs.quietChecks ? parameters.integer(toSeconds(needs.reach)) : null;
    return buildChecks(table, { ...source, ...needs, within, reach, ...names }, parameters);
  };
  const { needs, shadowNeeds } = reading;
  if (shadowNeeds === null || !hasShadowChecks(reading))
    return { checks: build(needs, { prefix: "", scanned: null }), shadowChecks: null };
  const reach = parameters.integer(Math.max(reachOf(needs), reachOf(shadowNeeds)));
  const scan = scanChecks(
    table,
    { ...source, start: `(now() - make_interval(secs => ${reach}))` },
    parameters,
  );
  const own = build(needs, { prefix: "own_", scanned: "scanned" });
  const shadow = build(shadowNeeds, { prefix: "shadow_", scanned: "scanned" });
  const weighed = `weighed AS MATERIALIZED (
  SELECT *, false AS is_shadows FROM own_weighed UNION ALL SELECT *, true FROM shadow_weighed
)`;
  return {
    checks: { ctes: [scan, ...own.ctes, ...shadow.ctes, weighed], json: own.json },
    shadowChecks: shadow,
  };
}

/** Whether the shadow policy sees other checks than the policy. */
function hasShadowChecks({ needs, shadowNeeds }: Pick<EvidenceReading, "needs" | "shadowNeeds">): boolean {
  return shadowNeeds !== null && !needSameChecks(needs, shadowNeeds);
}

/** How far back checks are read, in seconds. */
function reachOf({ quietChecks, reach, within }: PolicyNeeds): number {
  return toSeconds(quietChecks ? reach : within);
}

function addOwnParameters(parameters: Parameters, reading: EvidenceReading): OwnReading {
  const { needs, shadowNeeds } = reading;
  return {
    model: parameters.text(reading.model),
    zone: parameters.text(reading.timeZone),
    trainer: parameters.text(reading.trainer),
    reach: parameters.integer(Math.max(reachOf(needs), reachOf(shadowNeeds ?? needs))),
    flightLimit: parameters.integer(Math.ceil(reading.flightLimitSeconds)),
    evidenceMaxAge: parameters.integer(reading.evidenceMaxAgeSeconds),
  };
}

/** The parts that read our own tables. They stand before and after the part that makes `weighed`. */
function describeOwn(
  reading: EvidenceReading,
  own: OwnReading,
  parameters: Parameters,
): { ctes: { before: string[]; after: string[] }; entries: Record<string, string> } {
  const { needs, shadowNeeds, trainer, isSinceTraining } = reading;
  const toInstant = decisionInstant(own);
  const secondsOf = (duration: string | null): string | null =>
    duration === null ? null : parameters.integer(toSeconds(duration));
  const describe = (wanted: ReturnType<typeof moreTrainings>): string =>
    describeTrainings(
      own,
      {
        ...wanted,
        trainer,
        requestedWithin: secondsOf(wanted.requestedWithin),
        requestedByAllWithin: secondsOf(wanted.requestedByAllWithin),
      },
      toInstant,
    );
  const isSuccessRead =
    isSinceTraining ||
    [needs, shadowNeeds].some((each) => each && (each.growth || each.waiting || each.lastTraining));
  return {
    ctes: {
      before: isSuccessRead ? [buildLastSuccess(own, trainer, toInstant)] : [],
      after: [
        ...buildAnswers(own),
        `latest_decisions AS (
  SELECT id, ${toInstant("decision_date")} AS decided_at, decision, buffer_size, drift_score, next_look_at,
    explanation #>> '{driftRuns,state}' AS drift_runs
  FROM retraining_decisions WHERE model = ${own.model} ORDER BY id DESC LIMIT ${EVIDENCE_LIMITS.decisions}
)`,
      ],
    },
    entries: {
      takenAt: "now()",
      weighed: describeWeighed(hasShadowChecks(reading) ? ", 'isShadows', is_shadows" : ""),
      answered: describeAnswered(toInstant("decision_date")),
      failures: FAILURES,
      inFlight: IN_FLIGHT,
      lastSuccess: isSuccessRead ? describeReadSuccess(own) : describeLastSuccess(own, trainer),
      earlier: describeEarlierSize(own),
      trainings: describe({ ...needs, durations: needs.waiting }),
      ...(shadowNeeds && { moreTrainings: describe(moreTrainings(shadowNeeds, needs)) }),
      interventions: describeInterventions(own.model),
      lastDecisions: `COALESCE((SELECT json_agg(json_build_object(
      'id', id, 'decidedAt', decided_at, 'decision', decision, 'bufferSize', buffer_size, 'driftScore', drift_score,
      'nextLookAt', next_look_at, 'driftRuns', drift_runs)
      ORDER BY id DESC) FROM latest_decisions), '[]')`,
    },
  };
}

/** `decision_date` has no zone unless the DAG's table was changed. */
export function decisionInstant({ zone }: Pick<OwnReading, "zone">): (column: string) => string {
  return (column) =>
    `CASE WHEN pg_typeof(${column}) = 'timestamptz'::regtype THEN ${column}::timestamptz
      ELSE ${column}::timestamp AT TIME ZONE ${zone} END`;
}

function assemble(ctes: readonly string[], entries: Readonly<Record<string, string>>): string {
  const list = Object.entries(entries).map(([key, sql]) => `'${key}', ${sql}`);
  return `WITH ${ctes.join(", ")}\nSELECT json_build_object(\n  ${list.join(",\n  ")}\n) AS evidence`;
}

function toSeconds(duration: string): number {
  return Math.ceil(toMs(duration) / 1000);
}
