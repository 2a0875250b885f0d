import { countUpTo } from "../bisect.ts";
import type { KnownAlert, OwnDecision } from "./rows.ts";

/** What is known of the drift checks, from the evidence of all decisions together. Times are Unix milliseconds. */
export interface Timeline {
  /** Ascending. */
  checkTimes: readonly number[];
  /** The oldest first. */
  alerts: readonly (KnownAlert & { time: number })[];
}

export function buildTimeline(decisions: readonly OwnDecision[]): Timeline {
  const times = new Set<number>();
  const alerts = new Map<string, KnownAlert & { time: number }>();
  for (const { checkTimes, alerts: own } of decisions) {
    for (const at of checkTimes) times.add(Date.parse(at));
    for (const alert of own) alerts.set(alert.id, { ...alert, time: Date.parse(alert.at) });
  }
  const byTime = [...alerts.values()].toSorted((a, b) => a.time - b.time);
  return { checkTimes: [...times].toSorted((a, b) => a - b), alerts: byTime };
}

/**
 * Names the state at a time by the position of the newest drift check: two decisions on the same state have no check between
 * them. -1 before the first check.
 */
export function stateAt({ checkTimes }: Timeline, time: number): number {
  return countUpTo(checkTimes, time) - 1;
}

/** The newest alert at a time; null if there is none. */
export function newestAlertAt({ alerts }: Timeline, time: number): KnownAlert | null {
  const position = countUpTo(
    alerts.map((alert) => alert.time),
    time,
  );
  return alerts[position - 1] ?? null;
}
