import { EVIDENCE_LIMITS, type DriftCheck, type Evidence, type WeighedCheck } from "../evidence.ts";
import type { PolicyNeeds } from "../policy.ts";
import { toMs } from "../duration.ts";
import type { PastCheck } from "./past.ts";

/** What trainings have done for a check. */
type Answer = Pick<WeighedCheck, "answeredBy" | "failed">;

/** The checks that could be seen at a simulated time. */
export interface VisibleChecks {
  /** Lets time pass. Returns whether a check became visible. */
  moveTo(at: number): boolean;
  /** Reads the answers to all checks anew. */
  forgetAnswers(): void;
  /** What evidence says of checks at a time; also the checks that a decision on it would record. */
  read(at: number): Pick<Evidence, "checks" | "weighed"> & { recorded: WeighedCheck[] };
  newestAt(): number | null;
}

/** A later check has a wrong time, and does not count where the order of checks matters. */
const LATEST_MS = 86_400_000;

/**
 * Follows the checks of the past, with the limits that the evidence has.
 *
 * @param answerTo What trainings have done for a check, now.
 */
export function createVisibleChecks(
  past: readonly PastCheck[],
  { within, reach, quietChecks, weighsScores }: PolicyNeeds,
  answerTo: (name: string) => Answer,
): VisibleChecks {
  const windowMs = toMs(within);
  const reachMs = quietChecks ? toMs(reach) : windowMs;
  /** In order of their time; those that are older than the reach are dropped now and then. */
  let entries: Entry[] = [];
  let first = 0;
  let next = 0;
  let newest: number | null = null;

  function add(check: PastCheck): void {
    const entry = { check, at: check.at, shown: toDriftCheck(check), weighed: toWeighed(check, answerTo) };
    let place = entries.length;
    while (place > first && (entries[place - 1] as Entry).at > check.at) place -= 1;
    if (place === entries.length) entries.push(entry);
    else entries.splice(place, 0, entry);
    newest = Math.max(newest ?? check.at, check.at);
  }

  /** Newest first. */
  function list(start: number, end: number): Entry[] {
    const found: Entry[] = [];
    for (let index = entries.length - 1; index >= first; index -= 1) {
      const entry = entries[index] as Entry;
      if (entry.at <= start) break;
      if (entry.at < end) found.push(entry);
    }
    return found;
  }

  return {
    moveTo(at) {
      const before = next;
      for (; next < past.length && (past[next] as PastCheck).seenAt <= at; next += 1)
        add(past[next] as PastCheck);
      while (first < entries.length && (entries[first] as Entry).at <= at - reachMs) first += 1;
      if (first > 1_000 && first > entries.length / 2) {
        entries = entries.slice(first);
        first = 0;
      }
      return next > before;
    },
    forgetAnswers() {
      for (const entry of entries) {
        const answer = answerTo(entry.weighed.id);
        if (isSame(answer, entry.weighed)) continue;
        entry.weighed = { ...entry.weighed, ...answer };
      }
    },
    read(at) {
      const all = list(at - reachMs, quietChecks ? at + LATEST_MS : Number.POSITIVE_INFINITY);
      const recent = reachMs === windowMs ? all : all.filter((entry) => entry.at > at - windowMs);
      const triggered = recent.filter(({ check }) => check.triggered);
      const weighed = quietChecks
        ? takeSeries(all, at - windowMs)
        : triggered.slice(0, EVIDENCE_LIMITS.weighed);
      const isRecorded = ({ at: checkedAt, check }: Entry): boolean =>
        checkedAt > at - windowMs && (weighsScores || check.triggered);
      return {
        checks: {
          total: recent.length,
          triggered: triggered.length,
          unread: quietChecks ? all.length - weighed.length : 0,
          runsFrom: null,
          newest: recent.slice(0, EVIDENCE_LIMITS.checks).map(({ shown }) => shown),
          newestTriggered: triggered.slice(0, EVIDENCE_LIMITS.checks).map(({ shown }) => shown),
        },
        weighed: weighed.map((entry) => entry.weighed),
        recorded: weighed.filter(isRecorded).map((entry) => entry.weighed),
      };
    },
    newestAt: () => newest,
  };
}

interface Entry {
  check: PastCheck;
  at: number;
  shown: DriftCheck;
  weighed: WeighedCheck;
}

/** The newest checks of each feature, as many of one as of another, and of the others the newest alerts. */
function takeSeries(all: readonly Entry[], windowStart: number): Entry[] {
  const { series, weighed } = EVIDENCE_LIMITS;
  if (all.length <= series) return [...all];
  const counts = new Map<string | null, number>();
  const ranked = all.map((entry) => {
    const nth = (counts.get(entry.check.feature) ?? 0) + 1;
    counts.set(entry.check.feature, nth);
    return { entry, nth };
  });
  const taken = new Set(
    ranked
      .toSorted((a, b) => a.nth - b.nth || b.entry.at - a.entry.at)
      .slice(0, series)
      .map(({ entry }) => entry),
  );
  let left = weighed;
  return all.flatMap((entry) => {
    if (taken.has(entry)) return [entry];
    if (!entry.check.triggered || entry.at <= windowStart || left-- <= 0) return [];
    return [{ ...entry, weighed: { ...entry.weighed, hasGap: true } }];
  });
}

function toDriftCheck({ names, at, feature, score, threshold, triggered }: PastCheck): DriftCheck {
  const checkedAt = new Date(at).toISOString();
  return { id: names[0] ?? "", checkedAt, feature, score, threshold, triggered, notes: null };
}

function toWeighed(check: PastCheck, answerTo: (name: string) => Answer): WeighedCheck {
  const { names, at, feature, score, threshold, triggered, samples } = check;
  const id = names[0] ?? "";
  const checked = new Date(at).toISOString();
  return { id, at: checked, feature, score, threshold, triggered, samples, hasGap: false, ...answerTo(id) };
}

function isSame(a: Answer, b: Answer): boolean {
  return (
    a.answeredBy === b.answeredBy &&
    a.failed?.endedAt === b.failed?.endedAt &&
    a.failed?.failures === b.failed?.failures
  );
}
