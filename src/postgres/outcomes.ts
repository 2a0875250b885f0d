import type pg from "pg";
import type { DispatchState } from "../core/dispatch/dispatch.ts";
import { judgeOutcome, type Outcome, type OutcomeSource } from "../core/outcome/outcome.ts";
import type { JudgedTraining } from "../core/outcome/tally.ts";
import { LIST_TRAININGS, MOST_METRICS, SAVE_OUTCOMES, SELECT_REPORTABLE } from "./outcome-sql.ts";

/** A decision, and whether a training of it can have brought anything. */
export interface ReportableTraining {
  decisionId: number;
  runId: string | null;
  model: string;
  /** null without a dispatch. */
  trainer: string | null;
  state: DispatchState | null;
  /** Whether it has no training: none was needed, or the request was refused, cancelled or not sent yet. */
  isUnrequested: boolean;
}

export interface OutcomeToSave extends Outcome {
  model: string;
  decisionId: number;
  source: OutcomeSource;
  by: string;
}

/** What became of outcomes. */
export interface SavedOutcomes {
  /** How many say something new. */
  saved: number;
  /** Those of trainings that have as many metrics as a training may have, in words. */
  refused: string[];
}

/** Stores what trainings brought. */
export function createOutcomeStore({ pool }: { pool: pg.Pool }) {
  return {
    /** Decisions by their numbers and their runs. Unknown ones are left out. */
    async findReportable({
      decisionIds = [],
      runIds = [],
    }: {
      decisionIds?: readonly number[];
      runIds?: readonly string[];
    }): Promise<ReportableTraining[]> {
      const text = `${SELECT_REPORTABLE} WHERE decision.id = ANY($1::int[]) OR decision.run_id = ANY($2::uuid[])`;
      return (await pool.query<ReportableTraining>(text, [decisionIds, runIds])).rows;
    },

    /** The newest training of a model that a trainer accepted; null if there is none. The mock trainer trains nothing. */
    async findNewestTraining(model: string): Promise<ReportableTraining | null> {
      const text = `${SELECT_REPORTABLE} WHERE dispatch.model_name = $1 AND dispatch.trainer <> 'mock'
        AND state <> 'rejected' AND (state <> 'cancelled' OR reason_code IS NULL)
        ORDER BY dispatch.decision_id DESC LIMIT 1`;
      return (await pool.query<ReportableTraining>(text, [model])).rows[0] ?? null;
    },

    /**
     * Saves outcomes, at most one for each decision and metric.
     *
     * @param reporter The version of a registered model that reports them: none is saved if it belongs to another training by now.
     */
    async saveOutcomes(
      outcomes: readonly OutcomeToSave[],
      reporter: { registeredModel: string; version: string } | null = null,
    ): Promise<SavedOutcomes> {
      const { registeredModel = null, version = null } = reporter ?? {};
      const { rows } = await pool.query<{
        saved: number;
        refused: { decisionId: number; metric: string }[];
      }>(SAVE_OUTCOMES, [JSON.stringify(outcomes), registeredModel, version]);
      const { saved = 0, refused = [] } = rows[0] ?? {};
      return {
        saved,
        refused: refused.map(
          ({ decisionId, metric }) =>
            `${metric} is not recorded: a training has at most ${MOST_METRICS} metrics, and that of decision ${decisionId} would have more. Report fewer, or one that it has`,
        ),
      };
    },

    /**
     * What a model's trainings brought, the newest first: those that succeeded, and those with an outcome.
     *
     * @param since ISO 8601: only trainings that were requested from then on; null for all.
     */
    async listOutcomes(model: string, since: string | null = null): Promise<JudgedTraining[]> {
      const { rows } = await pool.query<Omit<JudgedTraining, "judged">>(LIST_TRAININGS, [model, since]);
      return rows.map((row) => ({ ...row, judged: judgeOutcome(row.outcomes) }));
    },
  };
}
