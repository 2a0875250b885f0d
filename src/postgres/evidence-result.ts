import { z } from "zod";
import { formatDuration } from "../core/duration.ts";
import { PermanentError } from "../core/errors.ts";
import { Evidence } from "../core/evidence.ts";
import type { PolicyNeeds } from "../core/policy.ts";
import { isGuide, type Sources } from "../settings/sources.ts";

/** What the statement returns; the parts that are taken over as they are remain unknown. */
export interface EvidenceResult {
  takenAt: string;
  /** The types of the source tables' columns, by `tableId.name`, as they were at the snapshot. */
  columns: Readonly<Record<string, string>> | null;
  weighed: RecordedCheck[];
  /** Without the ids, and the number of unanswered ones. */
  alerts: object;
  buffer: { size: number; fresh: Fresh | null };
  lastSuccess: { decisionId: number; at: string; bufferSize: number | null } | null;
  earlier: unknown;
  trainings: { newest?: RequestedTraining[]; firstDecisionAt?: string | null } | null;
  /** Of drift monitoring; only if drift runs are expected. */
  signs?: { lastSeenAt: string | null; firstDecisionAt: string | null };
}

/** A weighed check, and whether a decision records it. */
interface RecordedCheck {
  id: string;
  triggered: boolean;
  answeredBy: number | null;
  isRecorded: boolean;
}

/** The rows that arrived since the last successful training. `timed`: how many of all rows have a time of arrival. */
interface Fresh {
  rows: number;
  timed: number;
  rowDays: number;
}

interface RequestedTraining {
  decisionId: number;
  state: string;
  requestedAt: string;
  endedAt: string | null;
}

/** Completes the evidence by what the database does not know or compute. */
export function toEvidence(
  result: EvidenceResult,
  {
    needs,
    source,
    expectDriftRunEveryMs,
  }: { needs: PolicyNeeds; source: Sources; expectDriftRunEveryMs: number | null },
): Evidence {
  const { buffer, lastSuccess, earlier, trainings, alerts } = result;
  const recorded = result.weighed.filter(({ isRecorded }) => isRecorded);
  const newest = trainings?.newest ?? [];
  const parsed = Evidence.safeParse({
    ...result,
    window: needs.within,
    hasQuietChecks: needs.quietChecks,
    isGuide: isGuide(source),
    alerts: {
      ...alerts,
      ids: recorded.map(({ id }) => id),
      unanswered: recorded.filter(({ triggered, answeredBy }) => triggered && answeredBy === null).length,
    },
    buffer: {
      ...buffer,
      unit: source.buffer.unit,
      earlier,
      grown: needs.growth ? findGrowth(result, source) : null,
      waiting: needs.waiting && buffer.fresh ? buffer.fresh : null,
    },
    trainings: {
      ...trainings,
      lastRequestedAt: newest[0]?.requestedAt ?? null,
      lastSucceeded: needs.lastTraining ? lastSuccess : null,
      lastFailed: findLastFailed(newest),
      nextRows: needs.waiting ? buffer.size : null,
    },
    monitoring: findMonitoring(result, expectDriftRunEveryMs),
  });
  if (parsed.success) return parsed.data;
  throw new PermanentError(
    "SOURCE_DATA",
    `The source tables contain unexpected data: ${z.prettifyError(parsed.error)}. Check the types of their columns`,
  );
}

function findMonitoring(
  { signs, takenAt }: EvidenceResult,
  everyMs: number | null,
): z.input<typeof Evidence>["monitoring"] {
  if (signs === undefined || everyMs === null) return null;
  const { lastSeenAt, firstDecisionAt } = signs;
  return { lastSeenAt, since: lastSeenAt ?? firstDecisionAt ?? takenAt, every: formatDuration(everyMs) };
}

/** The rows since the last successful training. */
function findGrowth({ buffer: { size, fresh }, lastSuccess }: EvidenceResult, { buffer }: Sources): number {
  if (buffer.since !== null || lastSuccess === null) return size;
  if (fresh !== null && fresh.timed > 0) return fresh.rows;
  const before = lastSuccess.bufferSize ?? 0;
  // A smaller buffer was emptied in the meantime.
  return size < before ? size : size - before;
}

/** The newest training if it failed, with the number of failures in a row. @param newest Newest first. */
function findLastFailed(newest: readonly RequestedTraining[]): Evidence["trainings"]["lastFailed"] {
  const end = newest.findIndex(({ state }) => state !== "failed" && state !== "cancelled");
  const failures = end === -1 ? newest.length : end;
  const last = newest[0];
  if (failures === 0 || !last || last.endedAt === null) return null;
  return { decisionId: last.decisionId, endedAt: last.endedAt, failures };
}
