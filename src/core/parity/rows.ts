import { GUIDE_SETTINGS } from "../policy.ts";

/** A row that the Airflow DAG wrote to `retraining_decisions`. */
export interface DagRow {
  id: number;
  /** ISO 8601; null if the row has no date. */
  at: string | null;
  decision: string | null;
  bufferSize: number | null;
  notes: string | null;
}

/** A decision of Retrigger, with what it saw. Times are ISO 8601. */
export interface OwnDecision {
  id: number;
  /** When its evidence was read. */
  at: string;
  decision: string;
  codes: readonly string[];
  bufferSize: number | null;
  /** How many alerts were in the window. */
  triggered: number;
  /** How far back drift checks counted, such as `7d`; null if that was not recorded. */
  window: string | null;
  /** The times of the newest drift checks, in any order. */
  checkTimes: readonly string[];
  /** The newest alerts. */
  alerts: readonly KnownAlert[];
  /** What the policy required; null if it has no such criterion. */
  required: { bufferSize: number | null; alerts: number | null };
}

export interface KnownAlert {
  /** As decisions record it: `id@time`. */
  id: string;
  at: string;
}

/** What both sides may do. */
export type Action = "trigger" | "no_action";

/** The thresholds that the DAG has by default. */
export const DAG = {
  bufferSize: GUIDE_SETTINGS.minBufferSize,
  alerts: GUIDE_SETTINGS.minAlertsTriggered,
  windowMs: GUIDE_SETTINGS.lookbackHours * 3_600_000,
} as const;

/** What a decision does; null for a text that neither side writes. */
export function actionOf(decision: string | null): Action | null {
  if (decision === "no_action") return "no_action";
  return decision === "trigger" || decision === "trigger_mock" ? "trigger" : null;
}

/** The figures in the notes of a `no_action` of the DAG: `Triggered alerts: 1, Buffer: 31,200`; null if they are not there. */
export function alertsInNotes(notes: string | null): number | null {
  const [, alerts] = /\bTriggered alerts: (\d{1,9})\b/.exec(notes ?? "") ?? [];
  return alerts === undefined ? null : Number(alerts);
}

/** The number of an alert, without the time that tells it from others. */
export function nameAlert({ id }: KnownAlert): string {
  return id.slice(0, id.indexOf("@") === -1 ? undefined : id.indexOf("@"));
}
