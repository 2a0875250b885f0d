import { listCriteria } from "../condition.ts";
import { describeSpan, toMs } from "../duration.ts";
import type { Evidence } from "../evidence.ts";
import { timeOf, weighedChecks } from "../facts.ts";
import { conditionHolds, wouldTrigger } from "../judge.ts";
import type { Policy } from "../policy.ts";
import type { Change, Flip } from "./explanation.ts";
import { addRows } from "./levers.ts";

/**
 * When changes may come about: rows at the pace at which the buffer has grown, time by itself. Null if one of them cannot be
 * foreseen.
 */
export function estimate(changes: readonly Change[], evidence: Evidence, policy: Policy): Flip["eta"] {
  const now = Date.parse(evidence.takenAt);
  const times = changes.map((change) => {
    if (change.kind === "time") return Date.parse(change.at ?? "");
    return change.kind === "more_rows" ? findArrival(change.size ?? 0, evidence) : null;
  });
  if (times.includes(null) || times.length === 0) return null;
  const at = Math.max(...times.map(Number));
  if (!Number.isFinite(at) || at > now + MAX_AHEAD_MS) return null;
  const rows = changes.find(({ kind }) => kind === "more_rows");
  const grown = rows ? addRows(evidence, rows.size ?? 0) : evidence;
  const pace =
    rows && evidence.buffer.earlier
      ? ` at the pace of the last ${describeSpan(now - Date.parse(evidence.buffer.earlier.at))}`
      : "";
  const fades = findFading(grown, policy, at);
  const fading =
    fades === null ? "" : `; ${fades.what} leaves the window in ${describeSpan(fades.at - now)}, before that`;
  return {
    at: new Date(at).toISOString(),
    text: `${rows ? "about " : "in "}${describeSpan(at - now)}${pace}${fading}`,
  };
}

/** Further ahead than ten years nothing can be foreseen. */
const MAX_AHEAD_MS = 3650 * 86_400_000;

/** When so many more rows will have arrived, Unix milliseconds; null if the buffer has not grown. */
function findArrival(rows: number, { takenAt, buffer: { size, earlier } }: Evidence): number | null {
  if (earlier === null || size <= earlier.size) return null;
  const now = Date.parse(takenAt);
  const elapsed = now - Date.parse(earlier.at);
  return elapsed <= 0 ? null : Math.ceil(now + rows * (elapsed / (size - earlier.size)));
}

/**
 * When the changed evidence would no longer trigger, if that is before `at`, because a check leaves its window, and which check
 * that is; else null.
 */
function findFading(evidence: Evidence, policy: Policy, at: number): { at: number; what: string } | null {
  if (wouldTrigger(evidence, policy, at)) return null;
  const now = Date.parse(evidence.takenAt);
  const windows = listCriteria(policy.when).flatMap(
    ({ criterion, settings }) => criterion.needs(settings).within ?? [],
  );
  const checks = weighedChecks(evidence);
  const ends = checks
    .flatMap((check) => windows.map((within) => ({ check, at: timeOf(check) + toMs(within) })))
    .filter((end) => end.at > now && end.at <= at)
    .toSorted((a, b) => a.at - b.at);
  const holdsAt = (end: { at: number }): boolean => conditionHolds(evidence, policy, end.at);
  const last = ends.at(-1);
  if (last === undefined || !conditionHolds(evidence, policy, now) || holdsAt(last)) return null;
  let [low, high] = [0, ends.length - 1];
  while (low < high) {
    const middle = Math.floor((low + high) / 2);
    if (holdsAt(ends[middle] ?? last)) low = middle + 1;
    else high = middle;
  }
  const end = ends[high] ?? last;
  const isNewestAlert = end.check === checks.find(({ triggered }) => triggered);
  return { at: end.at, what: isNewestAlert ? "the newest alert" : "a check that it needs" };
}
