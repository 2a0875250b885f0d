import type { DriftCheck, Evidence, WeighedCheck } from "../evidence.ts";
import { timeOf, weighedChecks } from "../facts.ts";
import { formatCount } from "../format.ts";
import type { Lever } from "./lever.ts";

/** More rows in the buffer. @param actualOf How many of the required ones there are. */
export function moreRows(check: string, required: number, actualOf: (evidence: Evidence) => number): Lever {
  return {
    id: "more_rows",
    check,
    kind: "count",
    scale: Math.max(1, required),
    limit: (evidence) => Math.max(0, required - actualOf(evidence)),
    apply: (evidence, size) => addRows(evidence, size),
    describe: (size, { buffer }) => `${formatCount(size)} more ${buffer.unit}`,
  };
}

/** Fewer rows in the buffer: one less than required. */
export function fewerRows(check: string, required: number, actualOf: (evidence: Evidence) => number): Lever {
  return {
    id: "fewer_rows",
    check,
    kind: "count",
    scale: Math.max(1, required),
    limit: (evidence) => (required === 0 ? 0 : Math.max(0, actualOf(evidence) - required + 1)),
    apply: (evidence, size) => addRows(evidence, -size),
    describe: (size, { buffer }) => `${formatCount(size)} fewer ${buffer.unit}`,
  };
}

/** Evidence with more, or fewer, rows in the buffer. */
export function addRows(evidence: Evidence, change: number): Evidence {
  const { buffer } = evidence;
  const { waiting, grown } = buffer;
  return {
    ...evidence,
    buffer: {
      ...buffer,
      size: Math.max(0, buffer.size + change),
      grown: grown === null ? null : Math.max(0, grown + change),
      // Rows that arrive now have not waited yet.
      waiting: waiting === null ? null : { ...waiting, rows: Math.max(0, waiting.rows + change) },
    },
  };
}

/** More triggered alerts, on no feature in particular. */
export function moreAlerts(check: string, scale: number, limit: number): Lever {
  return {
    id: "more_alerts",
    check,
    kind: "count",
    scale: Math.max(1, scale),
    limit: () => limit,
    apply: (evidence, size, { at }) =>
      addChecks(
        evidence,
        Array.from({ length: size }, () => ({})),
        at,
      ),
    describe: (size) => (size === 1 ? "1 more alert" : `${formatCount(size)} more alerts`),
  };
}

/** Fewer triggered alerts: the newest ones would have triggered none. */
export function fewerAlerts(check: string): Lever {
  return {
    id: "fewer_alerts",
    check,
    kind: "count",
    scale: 1,
    limit: (evidence) => weighedChecks(evidence).filter(({ triggered }) => triggered).length,
    apply: silenceNewest,
    describe: (size) => (size === 1 ? "1 alert fewer" : `${formatCount(size)} alerts fewer`),
  };
}

function silenceNewest(evidence: Evidence, size: number): Evidence {
  let left = size;
  const weighed = weighedChecks(evidence).map((check) =>
    check.triggered && left-- > 0 ? { ...check, triggered: false } : check,
  );
  const { checks, alerts } = evidence;
  return {
    ...evidence,
    weighed,
    checks: {
      ...checks,
      triggered: checks.triggered - size,
      newestTriggered: checks.newestTriggered.slice(size),
    },
    alerts: { ...alerts, unanswered: Math.max(0, alerts.unanswered - size) },
  };
}

/** A switch without a size. */
export function switchOver(
  id: string,
  check: string,
  text: string,
  apply: (evidence: Evidence, at: number) => Evidence,
  isOpen: (evidence: Evidence) => boolean = () => true,
): Lever {
  return {
    id,
    check,
    kind: "switch",
    scale: 1,
    limit: (evidence) => Number(isOpen(evidence)),
    apply: (evidence, _, { at }) => apply(evidence, at),
    describe: () => text,
  };
}

/**
 * Evidence with further checks, made at an instant (Unix milliseconds) on enough samples; triggered unless they say otherwise.
 */
export function addChecks(evidence: Evidence, added: readonly Partial<WeighedCheck>[], at: number): Evidence {
  const rows = added.map((own, index): WeighedCheck => ({
    id: `added-${index}-${evidence.checks.total}`,
    at: new Date(at).toISOString(),
    feature: null,
    score: null,
    threshold: null,
    triggered: true,
    samples: Number.MAX_SAFE_INTEGER,
    hasGap: false,
    answeredBy: null,
    failed: null,
    ...own,
  }));
  const triggered = rows.filter((row) => row.triggered);
  const { checks, alerts } = evidence;
  return {
    ...evidence,
    weighed: mergeNewestFirst(rows.toReversed(), weighedChecks(evidence)),
    checks: {
      ...checks,
      total: checks.total + rows.length,
      triggered: checks.triggered + triggered.length,
      newest: [...rows.map(toListed).toReversed(), ...checks.newest],
      newestTriggered: [...triggered.map(toListed).toReversed(), ...checks.newestTriggered],
    },
    alerts: { ...alerts, unanswered: alerts.unanswered + triggered.length },
  };
}

function mergeNewestFirst(added: readonly WeighedCheck[], known: readonly WeighedCheck[]): WeighedCheck[] {
  const all = [...added, ...known];
  const [newest] = known;
  // An earlier change may have added drift runs that are yet to come.
  const isInOrder = newest === undefined || added.every((check) => timeOf(check) >= timeOf(newest));
  return isInOrder ? all : all.toSorted((a, b) => timeOf(b) - timeOf(a));
}

function toListed({ id, at, feature, score, threshold, triggered }: WeighedCheck): DriftCheck {
  return { id, checkedAt: at, feature, score, threshold, triggered, notes: null };
}

/** A training that succeeded just now. */
export function trainNow(check: string): Lever {
  return switchOver("trained", check, "a training that has just succeeded", asTrained);
}

/** The evidence if a training had just succeeded. */
export function asTrained(evidence: Evidence): Evidence {
  const { buffer, trainings, takenAt } = evidence;
  return {
    ...evidence,
    buffer: {
      ...buffer,
      grown: buffer.grown === null ? null : 0,
      waiting: buffer.waiting === null ? null : { rows: 0, rowDays: 0 },
    },
    trainings: {
      ...trainings,
      lastSucceeded: { decisionId: 0, at: takenAt, bufferSize: buffer.size },
    },
  };
}
