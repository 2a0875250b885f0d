import { z } from "zod";
import type { Counted, CounterProblem } from "../core/counter.ts";
import { formatDuration } from "../core/duration.ts";
import { SourceError } from "../core/errors.ts";
import { Evidence, EVIDENCE_LIMITS } from "../core/evidence.ts";
import type { PolicyNeeds } from "../core/policy.ts";
import { computeGrowth, type CountedTraining, findLastFailed, type Fresh } from "../core/training-history.ts";
import { addNeeds, needSameChecks, needSamePart } from "../core/shadow-needs.ts";
import { isGuide, type Sources } from "../settings/sources.ts";
import { MOCK } from "./trainings-sql.ts";

/** What the statement returns; the parts that are taken over as they are remain unknown. */
export interface EvidenceResult {
  takenAt: string;
  checks?: unknown;
  /** Those of the shadow policy are marked if it sees others than the policy. */
  weighed: readonly { id: string; triggered: boolean; isRecorded: boolean; isShadows?: boolean }[];
  /** The `checks` that the shadow policy sees; absent if they are the same. */
  shadowChecks?: unknown;
  /** The training that was for a check, by the check's id. */
  answered: readonly Answer[];
  failures: readonly Failure[];
  buffer: {
    size: number;
    fresh: (Fresh & { rowDays: number }) | null;
    /** The table's counter; null if it has none, or if it cannot say what is needed. */
    counter: ReadCounter | null;
    /** How much newer the count is than the rest, in milliseconds, if models shared it. */
    lagMs?: number | null;
  };
  lastSuccess: {
    decisionId: number;
    at: string;
    takenAt?: string;
    bufferSize: number | null;
    smallestSince: number | null;
  } | null;
  earlier: { size: number | null; at: string } | null;
  trainings: { newest?: RequestedTraining[] } | null;
  /** What of the trainings only the shadow policy needs. */
  moreTrainings?: { newest?: RequestedTraining[] } | null;
  /** Of drift monitoring; only if drift runs are expected. */
  signs?: { lastSeenAt: string | null; firstDecisionAt: string | null };
  /** The newest drift check, if the checks are in a database of their own. */
  newestCheckAt?: string | null;
}

/** A counter as the statement found it. */
export interface ReadCounter {
  id: number;
  problem: CounterProblem | null;
  /** How many changes it consists of. */
  entries: number;
  /** Whether the table itself had to say when a batch begins or ends. */
  isOpen: boolean;
}

interface Answer {
  id: string;
  decisionId: number;
  decidedAt: string;
}

interface Failure {
  id: string;
  decisionId: number;
  endedAt: string;
  conclusion: string | null;
  failures: number;
}

interface RequestedTraining extends CountedTraining {
  requestedAt: string;
}

/** Completes the evidence by what the statement leaves to compute. */
export function toEvidence(
  result: EvidenceResult,
  {
    needs,
    source,
    trainer,
    expectDriftRunEveryMs,
  }: {
    needs: PolicyNeeds;
    source: Sources;
    trainer: { name: string };
    expectDriftRunEveryMs: number | null;
  },
): Evidence {
  return parseResult(Evidence, {
    ...result,
    ...toChecks(result, needs),
    isGuide: isGuide(source) && trainer.name === MOCK,
    buffer: toBuffer(result, needs, source),
    trainings: toTrainings(result, needs),
    monitoring: findMonitoring(result, expectDriftRunEveryMs),
  });
}

/** The parts of the evidence that a shadow policy may see otherwise than the policy. */
export type Shadowed = Partial<z.infer<typeof CHECKS> & Pick<Evidence, "buffer" | "trainings">>;

const CHECKS = Evidence.pick({
  checks: true,
  window: true,
  hasQuietChecks: true,
  weighed: true,
  alerts: true,
});

/** What a shadow policy sees otherwise than the policy. @param needs What the policy needs, and what the shadow needs. */
export function toShadowed(
  result: EvidenceResult,
  { needs, shadowNeeds, source }: { needs: PolicyNeeds; shadowNeeds: PolicyNeeds; source: Sources },
): Shadowed {
  const all = addNeeds(shadowNeeds, needs);
  const { buffer, trainings } = Evidence.shape;
  return {
    ...(needSameChecks(needs, shadowNeeds) ? {} : parseResult(CHECKS, toChecks(result, shadowNeeds, true))),
    ...(needSamePart("buffer", needs, all)
      ? {}
      : { buffer: parseResult(buffer, toBuffer(result, all, source)) }),
    ...(needSamePart("trainings", needs, all)
      ? {}
      : { trainings: parseResult(trainings, toTrainings(result, all, true)) }),
  };
}

function parseResult<T>(schema: z.ZodType<T>, value: unknown): T {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  throw new SourceError(
    "SOURCE_DATA",
    `The source tables contain unexpected data: ${z.prettifyError(parsed.error)}. Check the types of their columns`,
  );
}

/** The checks that the policy sees, or those that the shadow policy sees. */
function toChecks(result: EvidenceResult, { within, quietChecks }: PolicyNeeds, isShadows = false) {
  const { checks, shadowChecks } = result;
  const weighed =
    shadowChecks === undefined
      ? result.weighed
      : result.weighed.filter((check) => check.isShadows === isShadows);
  return {
    ...joinChecks({ ...result, weighed }),
    checks: isShadows ? shadowChecks : checks,
    window: within,
    hasQuietChecks: quietChecks,
  };
}

function toBuffer(result: EvidenceResult, needs: PolicyNeeds, source: Sources) {
  const { buffer, lastSuccess } = result;
  return {
    ...buffer,
    unit: source.buffer.unit,
    isSinceTraining: source.buffer.since !== null,
    smallestSince: needs.lastSuccess ? (lastSuccess?.smallestSince ?? null) : null,
    earlier: findEarlier(result),
    grown: needs.growth ? findGrowth(result, source) : null,
    waiting: needs.waiting ? buffer.fresh : null,
    counted: toCounted(buffer),
  };
}

function toCounted({ counter, lagMs = null }: EvidenceResult["buffer"]): z.input<typeof Counted> {
  const problem = counter?.problem ?? null;
  return { by: counter !== null && problem === null ? "counter" : "query", problem, lagMs };
}

function toTrainings(result: EvidenceResult, needs: PolicyNeeds, isShadows = false) {
  const { buffer, lastSuccess } = result;
  const trainings = { ...result.trainings, ...(isShadows ? result.moreTrainings : null) };
  const newest = trainings.newest ?? [];
  return {
    ...trainings,
    lastRequestedAt: newest[0]?.requestedAt ?? null,
    lastSucceeded: needs.lastTraining || needs.lastSuccess ? lastSuccess : null,
    lastFailed: findLastFailed(newest),
    nextRows: needs.waiting ? buffer.size : null,
  };
}

/** Joins the checks with the trainings that were for them, and sums up those that a decision records. */
function joinChecks({
  weighed,
  answered,
  failures,
}: EvidenceResult): Pick<z.input<typeof Evidence>, "alerts"> & { weighed: unknown } {
  const answerOf = new Map(answered.map((answer) => [answer.id, answer]));
  const failureOf = new Map(failures.map((failure) => [failure.id, failure]));
  const recorded = weighed.filter(({ isRecorded }) => isRecorded);
  const ids = recorded.map(({ id }) => id);
  const known = new Set(ids);
  return {
    weighed: weighed.map((check) => ({
      ...check,
      answeredBy: answerOf.get(check.id)?.decisionId ?? null,
      failed: failureOf.get(check.id) ?? null,
    })),
    alerts: {
      ids,
      unanswered: recorded.filter(({ id, triggered }) => triggered && !answerOf.has(id)).length,
      answeredBy: countByDecision(answered, known).slice(0, EVIDENCE_LIMITS.decisions),
      failed: countByDecision(failures, known).slice(0, EVIDENCE_LIMITS.failed),
    },
  };
}

/** How many of the known checks each decision was for, newest decision first. */
function countByDecision<T extends { id: string; decisionId: number; failures?: number }>(
  rows: readonly T[],
  known: ReadonlySet<string>,
): (T & { alerts: number })[] {
  const counts = new Map<string, T & { alerts: number }>();
  for (const row of rows) {
    if (!known.has(row.id)) continue;
    const key = `${row.decisionId}/${row.failures ?? 0}`;
    const counted = counts.get(key);
    if (counted) counted.alerts += 1;
    else counts.set(key, { ...row, alerts: 1 });
  }
  return [...counts.values()].toSorted((a, b) => b.decisionId - a.decisionId);
}

/** The earlier size; null if a training has succeeded since, after which the buffer may have been emptied. */
function findEarlier({ earlier, lastSuccess }: EvidenceResult): EvidenceResult["earlier"] {
  if (earlier === null || earlier.size === null) return null;
  return lastSuccess !== null && Date.parse(lastSuccess.at) > Date.parse(earlier.at) ? null : earlier;
}

function findMonitoring(
  { signs, newestCheckAt = null, takenAt }: EvidenceResult,
  everyMs: number | null,
): z.input<typeof Evidence>["monitoring"] {
  if (signs === undefined || everyMs === null) return null;
  const { firstDecisionAt } = signs;
  const seen = [signs.lastSeenAt, newestCheckAt].filter((at) => at !== null);
  const lastSeenAt = seen.toSorted((a, b) => Date.parse(b) - Date.parse(a))[0] ?? null;
  return { lastSeenAt, since: lastSeenAt ?? firstDecisionAt ?? takenAt, every: formatDuration(everyMs) };
}

/** The rows since the last successful training. */
function findGrowth({ buffer: { size, fresh }, lastSuccess }: EvidenceResult, { buffer }: Sources): number {
  return buffer.since === null ? computeGrowth(size, fresh, lastSuccess) : size;
}
