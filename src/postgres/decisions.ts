import type pg from "pg";
import { z } from "zod";
import { planApproval } from "../core/approval-plan.ts";
import { contentOf, type Decided } from "../core/decision-content.ts";
import type { DispatchOutcome } from "../core/dispatch/dispatch.ts";
import { DispatchRequest, toRecorded } from "../core/dispatch/request.ts";
import { Evidence, findInFlight } from "../core/evidence.ts";
import { trainingInFlight } from "../core/guards/training-in-flight.ts";
import { parseInput } from "../core/parse.ts";
import { Policy } from "../core/policy.ts";
import type { Superseded } from "../core/superseded.ts";
import { digestCanonical } from "./canonical-hash.ts";
import { createDecisionIds, noSequence } from "./decision-ids.ts";
import { FIND_RECORDED, INSERT_DECISION, INSERT_WITH_INTERVENTIONS } from "./decision-sql.ts";
import { hasCode } from "./explain-error.ts";
import { queryPrepared } from "./prepared.ts";
import { budgetOf, insertWithinBudget } from "./total-budget.ts";

/** A decision that is about to be recorded. */
export interface NewDecision extends Decided {
  /** For a trigger: the request, recorded in the same transaction, before anything is sent. */
  request: DispatchRequest | null;
  /** Hash of the settings that the request was rendered from. */
  settingsHash: string;
  /** The initial state of the dispatch row. */
  dispatchState: "pending" | "sent";
}

/** A decision as recorded. */
export interface RecordedDecision {
  id: number;
  /** ISO 8601. */
  decidedAt: string;
  /** Time until the next evaluation, by the database's clock; null if there is none or a later decision replaces it. */
  nextLookInMs: number | null;
  decision: string;
  trainer: string;
  request: DispatchRequest | null;
  dispatch: DispatchOutcome | null;
  /** Whether this attempt recorded it. */
  isNew: boolean;
  /** What an earlier attempt of the run evaluated, if that attempt recorded the decision. */
  earlier: RecordedBasis | null;
}

/** A decision's row, or why nothing was written. */
export type RecordingResult =
  { outcome: "recorded"; decision: RecordedDecision } | { outcome: "superseded"; because: Superseded };

export interface DecisionStoreOptions {
  pool: pg.Pool;
  /** IANA zone of `decision_date`. */
  timeZone: string;
  /** Evidence older than this, by the database's clock, is not acted on. */
  evidenceMaxAgeSeconds: number;
}

const MAX_REPAIRS = 3;

/** Records decisions. */
export function createDecisionStore(options: DecisionStoreOptions) {
  const { pool } = options;
  const ids = createDecisionIds(pool);
  return {
    /**
     * Records a decision by compare-and-set against what its evidence saw: the model's last decision and, if a training held
     * it back, that this training is still open. Also records its dispatch and marks the events that it covers. Returns this
     * run's row, written now or by an earlier attempt, or why nothing was written. One round trip; a retry takes two, a lost
     * race two or three.
     *
     * @throws PermanentError NO_SEQUENCE if the table has no sequence that gives the newest decision the highest id.
     */
    async recordDecision(decision: NewDecision): Promise<RecordingResult> {
      for (let attempt = 1; ; attempt += 1) {
        const isCached = ids.isCached();
        const values = toValues(decision, options, await ids.findSequence());
        const rows = await insert(options, decision, values).catch((error: unknown) => {
          // The cached sequence may have been dropped in the meantime.
          if (!isCached || !hasCode(error, ["42P01"])) throw error;
          return [];
        });
        const { request } = decision;
        if (rows !== "spent" && rows[0])
          return { outcome: "recorded", decision: { ...rows[0], request, isNew: true, earlier: null } };
        const found = await findRecorded(decision, options);
        if (found.outcome !== "none") return found;
        if (rows === "spent") return { outcome: "superseded", because: "budget_spent" };
        // Neither a rival decision nor old evidence: rows have explicit ids beyond the sequence, or the sequence was replaced.
        ids.forget();
        if (attempt > MAX_REPAIRS) throw noSequence(pool, "its ids are ahead of the sequence");
        await ids.repair();
      }
    },

    /** What a run's decision was judged by; null if it has none that this version can read. */
    async readBasis(runId: string): Promise<RecordedBasis | null> {
      const { rows } = await pool.query<{ evidence: unknown; policy: unknown }>(
        "SELECT evidence, policy FROM retraining_decisions WHERE run_id = $1",
        [runId],
      );
      return RecordedBasis.safeParse(rows[0]).data ?? null;
    },
  };
}

const RecordedBasis = z.object({ evidence: Evidence, policy: Policy });
type RecordedBasis = z.infer<typeof RecordedBasis>;

type InsertedRow = Omit<RecordedDecision, "earlier" | "isNew" | "request">;

async function insert(
  { pool, evidenceMaxAgeSeconds }: DecisionStoreOptions,
  decision: NewDecision,
  values: readonly unknown[],
): Promise<InsertedRow[] | "spent"> {
  const interventions = toInterventions(decision);
  const sql = interventions.length === 0 ? INSERT_DECISION : INSERT_WITH_INTERVENTIONS;
  const all = [...values, ...interventions];
  const budget = budgetOf(decision.policy, decision.verdict);
  if (budget === null) return (await queryPrepared<InsertedRow>(pool, sql, all)).rows;
  const { trainer } = decision;
  return insertWithinBudget(
    pool,
    budget,
    { trainer, evidenceMaxAgeSeconds },
    async (client) => (await client.query<InsertedRow>(sql, all)).rows,
  );
}

function toValues(
  decision: NewDecision,
  { timeZone, evidenceMaxAgeSeconds }: DecisionStoreOptions,
  sequence: string,
): unknown[] {
  const { evidence } = decision;
  const content = contentOf(decision);
  return [
    content.runId,
    content.model,
    content.cause,
    content.decision,
    content.reason,
    content.bufferSize,
    content.driftScore,
    content.notes,
    content.trainer,
    JSON.stringify(content.evidence),
    JSON.stringify(content.criteria),
    JSON.stringify(content.policy),
    content.policyHash,
    content.alertIds,
    lastSeenId(decision),
    timeZone,
    decision.request && JSON.stringify(toRecorded(decision.request)),
    decision.dispatchState,
    evidence.takenAt,
    evidenceMaxAgeSeconds,
    content.reasonCodes,
    content.nextLookAt,
    content.newestAlertAt,
    listHolding(decision),
    decision.settingsHash,
    sequence,
    content.explanation && JSON.stringify(content.explanation),
    content.forced && JSON.stringify(content.forced),
    content.driftRatio,
    content.evaluator,
    content.shadow && JSON.stringify(content.shadow),
    digestCanonical(content),
  ];
}

/** What the decision does to overrides and approvals, as parameters; empty if nothing. */
function toInterventions({ evidence, policy, verdict }: NewDecision): unknown[] {
  const { requestForMs, settle } = planApproval(evidence, policy, verdict);
  const overrideId = evidence.interventions.override?.id ?? null;
  if (requestForMs === null && settle === null && overrideId === null) return [];
  return [
    overrideId,
    requestForMs === null ? null : requestForMs / 1000,
    settle?.decisionId ?? null,
    settle?.state ?? null,
  ];
}

/** The id of the model's last decision when the evidence was gathered; 0 if there was none. */
function lastSeenId({ evidence }: Decided): number {
  return evidence.lastDecisions[0]?.id ?? 0;
}

/** The decisions whose trainings hold this one back. */
function listHolding({ evidence, verdict }: NewDecision): number[] {
  const isHeld = verdict.failed.includes(trainingInFlight.reason);
  return isHeld ? findInFlight(evidence).map(({ decisionId }) => decisionId) : [];
}

interface FoundRow extends InsertedRow {
  request: unknown;
  evidence: unknown;
  policy: unknown;
  isStale: boolean;
  hasRival: boolean;
  isReleased: boolean;
}

/** The row of this run, or why nothing was inserted. "none": neither another run nor the time explains it. */
async function findRecorded(
  decision: NewDecision,
  { pool, timeZone, evidenceMaxAgeSeconds }: DecisionStoreOptions,
): Promise<RecordingResult | { outcome: "none" }> {
  const { rows } = await pool.query<FoundRow>(FIND_RECORDED, [
    decision.runId,
    timeZone,
    decision.evidence.takenAt,
    evidenceMaxAgeSeconds,
    decision.model,
    lastSeenId(decision),
    listHolding(decision),
  ]);
  const { isStale, hasRival, isReleased, evidence, policy, request = null, ...row } = rows[0] ?? {};
  if ("id" in row && row.id !== null) {
    // A row written by another version may not parse.
    const earlier = RecordedBasis.safeParse({ evidence, policy });
    const recorded = parseInput(DispatchRequest.nullable(), request, "recorded request");
    const decision = { ...row, request: recorded, isNew: false, earlier: earlier.data ?? null };
    return { outcome: "recorded", decision };
  }
  if (isStale) return { outcome: "superseded", because: "stale_evidence" };
  if (hasRival) return { outcome: "superseded", because: "newer_decision" };
  return isReleased ? { outcome: "superseded", because: "training_ended" } : { outcome: "none" };
}
