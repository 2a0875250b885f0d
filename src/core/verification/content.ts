import type { DecisionContent } from "../decision-content.ts";
import { isSameInstant, toMicroseconds } from "./instant.ts";

/** A decision's columns, with its JSON columns parsed. Times are in UTC, without a zone. */
export interface RecordedColumns {
  runId: string | null;
  model: string;
  cause: string | null;
  decision: string | null;
  reason: string | null;
  reasonCodes: unknown;
  bufferSize: string | null;
  driftScore: number | null;
  driftRatio: number | null;
  notes: string | null;
  trainer: string | null;
  evidence: unknown;
  criteria: unknown;
  policy: unknown;
  policyHash: string | null;
  alertIds: unknown;
  previousId: number | null;
  nextLookAt: string | null;
  newestAlertAt: string | null;
  explanation: unknown;
  forced: unknown;
  evaluator: number | null;
  shadow: unknown;
}

/** The content of a decision, as far as its row has it: any field may be anything once the row was changed. */
export type RecordedContent = Record<keyof DecisionContent, unknown>;

/**
 * Reads the content of a decision from its row, in the form that `contentOf` hashed.
 *
 * @param newestAlertAt As the evidence has it: the column is the same instant, perhaps written otherwise.
 */
export function contentFrom(columns: RecordedColumns, newestAlertAt: string | null): RecordedContent {
  return {
    runId: columns.runId,
    model: columns.model,
    cause: columns.cause,
    decision: columns.decision,
    reason: columns.reason,
    reasonCodes: columns.reasonCodes,
    bufferSize: toNumber(columns.bufferSize),
    driftScore: toFinite(columns.driftScore),
    driftRatio: toFinite(columns.driftRatio),
    notes: columns.notes,
    trainer: columns.trainer,
    evidence: columns.evidence,
    criteria: columns.criteria,
    policy: columns.policy,
    policyHash: columns.policyHash,
    alertIds: columns.alertIds,
    previousId: columns.previousId,
    nextLookAt: toMilliseconds(columns.nextLookAt),
    newestAlertAt: isSameInstant(toUtc(columns.newestAlertAt), newestAlertAt)
      ? newestAlertAt
      : toUtc(columns.newestAlertAt),
    explanation: columns.explanation,
    forced: columns.forced,
    evaluator: columns.evaluator,
    shadow: columns.shadow,
  };
}

/** The names of the columns, where they are not those of the fields. */
export function columnOf(field: string): string {
  return field.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

/** An instant of a column without its zone, which is UTC. */
export function toUtc(time: string | null): string | null {
  return time === null ? null : `${time}Z`;
}

/** As the evaluator writes an instant, if it is one of whole milliseconds. */
function toMilliseconds(time: string | null): string | null {
  if (time === null) return null;
  const microseconds = toMicroseconds(`${time}Z`);
  const isExact = microseconds % 1000 === 0;
  return isExact ? new Date(microseconds / 1000).toISOString() : `${time}Z`;
}

/** A number, unless JavaScript would round it. */
function toNumber(text: string | null): number | string | null {
  if (text === null) return null;
  const figure = Number(text);
  return Number.isSafeInteger(figure) ? figure : text;
}

/** Only a changed row has a figure that JSON cannot hold. */
function toFinite(figure: number | null): number | string | null {
  return figure === null || Number.isFinite(figure) ? figure : String(figure);
}
