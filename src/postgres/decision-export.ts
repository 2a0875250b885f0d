import type pg from "pg";
import { z } from "zod";
import { AlertTimes, type DecisionContent, findNewestAlertTime } from "../core/decision-content.ts";
import {
  type DecisionFilter,
  type DecisionRow,
  EVENTS,
  FROM_DECISIONS,
  LISTED_COLUMNS,
  TRAINING,
} from "./decision-log.ts";
import { WRITTEN_DATE } from "./decision-sql.ts";
import { selectModelNames } from "./model-names.ts";

/** Which decisions to export. */
export type ExportFilter = Pick<
  DecisionFilter,
  "model" | "decision" | "reason" | "cause" | "since" | "until"
>;

/** What an export comprises, counted before it begins. */
export interface ExportPlan {
  decisions: number;
  /** How many of them have no run or no date, as rows of the DAG. */
  withoutRun: number;
  /** The last one; later ones are left to the next export. */
  lastId: number;
  models: string[];
}

/** A part of an export, in the order of the ids. */
export interface ExportPage {
  filter: ExportFilter;
  /** The last decision of the page before. */
  after: number;
  /** The plan's last decision. */
  lastId: number;
  limit: number;
}

/** A decision as a table shows it. */
export interface ExportedRow extends DecisionRow {
  driftRatio: number | null;
  trainer: string | null;
  policyHash: string | null;
  evaluator: number | null;
  /** What the shadow policy would have decided. */
  shadow: string | null;
  forcedBy: string | null;
  forcedReason: string | null;
  requestedAt: string | null;
  endedAt: string | null;
  conclusion: string | null;
  durationSeconds: number | null;
  takenAt: string | null;
  externalId: string | null;
  error: string | null;
  updatedAt: string | null;
  /** In hexadecimal digits. */
  contentSha256: string | null;
  previousSha256: string | null;
  sha256: string | null;
}

/** A decision with all that was recorded, so that its hash can be computed again. */
export interface DecisionRecord {
  id: number;
  /** ISO 8601; null if the DAG's row has none. */
  decidedAt: string | null;
  /** The date as the hash covers it. */
  decisionDate: string | null;
  /** What `contentSha256` covers, with the names of `contentOf`. */
  content: Record<keyof DecisionContent, unknown>;
  contentSha256: string | null;
  previousSha256: string | null;
  sha256: string | null;
  training: Record<string, unknown> | null;
  outcomes: Record<string, unknown>[];
  events: Record<string, unknown>[];
}

/** Reads decisions in pages, so that an export of any length takes the memory of one page. */
export function createDecisionExport({ pool, timeZone }: { pool: pg.Pool; timeZone: string }) {
  const read = async <Row extends object>(columns: string, page: ExportPage): Promise<Row[]> => {
    const { filter, after, lastId, limit } = page;
    const sql = `${GIVEN} SELECT ${columns} ${FROM_DECISIONS}
      WHERE decision.id > $9 AND decision.id <= $10 ${conditionsOf(filter)} ORDER BY decision.id LIMIT $1`;
    return (await pool.query<Row>(sql, [limit, ...valuesOf(filter, timeZone), after, lastId])).rows;
  };
  return {
    /** Counts what an export comprises. */
    async planExport(filter: ExportFilter): Promise<ExportPlan> {
      const sql = `${GIVEN} ${PLAN} WHERE true ${conditionsOf(filter)}`;
      const { rows } = await pool.query<ExportPlan>(sql, [null, ...valuesOf(filter, timeZone), null, null]);
      return rows[0] as ExportPlan;
    },

    /** The models with decisions, whether or not the settings name them. */
    async listDecidedModels(): Promise<string[]> {
      return (
        await pool.query<{ model: string }>(`${selectModelNames("retraining_decisions")} ORDER BY model`)
      ).rows.map(({ model }) => model);
    },

    readExportedRows: (page: ExportPage) => read<ExportedRow>(ROW_COLUMNS, page),

    async readRecords(page: ExportPage): Promise<DecisionRecord[]> {
      return (await read<DecisionRecord>(RECORD_COLUMNS, page)).map(withWrittenTimes);
    },
  };
}

const RecordedTimes = z.object({ nextLookAt: z.string().nullable(), newestAlertAt: z.string().nullable() });

/** Writes the times of the content as the decision did, of which the columns hold the instants only. */
function withWrittenTimes(record: DecisionRecord): DecisionRecord {
  const { content } = record;
  const { nextLookAt, newestAlertAt } = RecordedTimes.parse(content);
  const checks = AlertTimes.safeParse(content.evidence).data;
  const written = checks ? findNewestAlertTime(checks) : null;
  const isAsWritten =
    written !== null && newestAlertAt !== null && Date.parse(written) === Date.parse(newestAlertAt);
  return {
    ...record,
    content: {
      ...content,
      nextLookAt: nextLookAt && new Date(nextLookAt).toISOString(),
      newestAlertAt: isAsWritten ? written : newestAlertAt,
    },
  };
}

function valuesOf({ model, decision, reason, cause, since, until }: ExportFilter, timeZone: string) {
  return [timeZone, model, decision, reason, cause, since, until].map((value) => value ?? null);
}

/** Every parameter is named, because Postgres must know the types of those that the conditions leave out. */
const GIVEN =
  "WITH given AS (SELECT $1::int, $2::text, $3::text, $4::text, $5::text, $6::text, $7::text, $8::text, $9::int, $10::int)";

/** Dates may be out of order, so they bound no ids: an export leaves nothing out. */
function conditionsOf({ model, decision, reason, cause, since, until }: ExportFilter): string {
  const conditions = [
    [model, "model = $3"],
    [decision, "(decision.decision = $4 OR $4 = 'trigger' AND decision.decision = 'trigger_mock')"],
    [
      reason,
      "EXISTS (SELECT FROM retraining_decision_reasons AS listed WHERE listed.decision_id = decision.id AND code = $5)",
    ],
    [cause, "cause = $6"],
    [since, "decision_date >= $7::timestamptz AT TIME ZONE $2"],
    [until, "decision_date < $8::timestamptz AT TIME ZONE $2"],
  ] as const;
  return conditions
    .flatMap(([value, sql]) => (value === undefined || value === null ? [] : [`AND ${sql}`]))
    .join(" ");
}

const PLAN = `SELECT count(*)::float8 AS decisions, COALESCE(max(id), 0) AS "lastId",
  count(*) FILTER (WHERE run_id IS NULL OR decision_date IS NULL)::float8 AS "withoutRun",
  COALESCE(array_agg(DISTINCT model ORDER BY model), '{}') AS models FROM retraining_decisions AS decision`;

const HASHES = ["content_sha256", "previous_sha256", "sha256"]
  .map((column) => `encode(decision.${column}, 'hex') AS "${toCamel(column)}"`)
  .join(", ");

function toCamel(column: string): string {
  return column.replaceAll(/_(.)/g, (_, letter: string) => letter.toUpperCase());
}

const instant = (column: string): string => `to_json(${column}) #>> '{}'`;

const ROW_COLUMNS = `${LISTED_COLUMNS}, drift_ratio AS "driftRatio", decision.trainer, policy_hash AS "policyHash", evaluator,
  shadow ->> 'decision' AS shadow, forced ->> 'by' AS "forcedBy", forced ->> 'reason' AS "forcedReason",
  ${instant("asked_at")} AS "requestedAt", ${instant("ended_at")} AS "endedAt", conclusion,
  duration_seconds AS "durationSeconds", ${instant("taken_at")} AS "takenAt", external_id AS "externalId", error,
  ${instant("updated_at")} AS "updatedAt", ${HASHES}`;

/** JSON has no other numbers. */
const finite = (column: string): string =>
  `CASE WHEN ${column} NOT IN ('NaN', 'Infinity', '-Infinity') THEN ${column} END`;

const CONTENT = `json_build_object('runId', run_id, 'model', model, 'cause', cause, 'decision', decision.decision,
  'reason', decision.reason, 'reasonCodes', reason_codes, 'bufferSize', buffer_size, 'driftScore', ${finite("drift_score")},
  'driftRatio', ${finite("drift_ratio")}, 'notes', notes, 'trainer', decision.trainer, 'evidence', evidence,
  'criteria', criteria, 'policy', policy, 'policyHash', policy_hash, 'alertIds', alert_ids, 'previousId', previous_id,
  'nextLookAt', next_look_at, 'newestAlertAt', newest_alert_at, 'explanation', explanation, 'forced', forced,
  'evaluator', evaluator, 'shadow', shadow)`;

const OUTCOMES = `COALESCE((SELECT json_agg(json_build_object('metric', metric, 'before', before, 'after', after,
  'isHigherBetter', is_higher_better, 'promoted', promoted, 'source', source, 'reportedBy', reported_by,
  'reportedAt', reported_at) ORDER BY outcome.id) FROM retraining_outcomes AS outcome
  WHERE outcome.decision_id = decision.id), '[]')`;

const RECORD_COLUMNS = `decision.id, to_json(decision_date AT TIME ZONE $2) #>> '{}' AS "decidedAt",
  ${WRITTEN_DATE} AS "decisionDate",
  ${CONTENT} AS content, ${HASHES}, ${TRAINING} AS training, ${OUTCOMES} AS outcomes, ${EVENTS} AS events`;
