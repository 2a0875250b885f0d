import { type Dispatch, isUnrequested } from "./dispatch.ts";
import type { DispatchEffect } from "./transition.ts";

/** The side effects of a dispatch's state, whatever led to it. */
export function effectsOf(dispatch: Dispatch): DispatchEffect[] {
  if (isUnrequested(dispatch)) return ["reevaluate"];
  const effects: DispatchEffect[] = dispatch.extraRuns.length > 0 ? ["announce_extra_runs"] : [];
  switch (dispatch.state) {
    case "pending":
      return [];
    case "sent":
    case "running":
      return ["announce_request", "follow", ...effects];
    case "unknown":
      return ["announce_request", "announce_unknown", "follow", ...effects];
    case "rejected":
      return ["announce_request", "reevaluate_if_blocked"];
    case "succeeded":
    case "failed":
    case "cancelled":
      return ["announce_request", "follow", ...effects, "announce_end", "reevaluate_if_blocked"];
    default:
      return dispatch.state satisfies never;
  }
}

/** What decides whether the end of a training calls for a re-evaluation. */
export interface LatestDecision {
  /** When its snapshot was taken, Unix milliseconds. */
  takenAt: number | null;
  /** Whether `training_in_flight` is among its reasons. */
  isHeldByTraining: boolean;
}

/** A snapshot taken shortly after a training ended may not show its end yet. */
const SNAPSHOT_MARGIN_MS = 60_000;

/**
 * Whether the end of a training calls for a re-evaluation of its model: if a training blocked the latest decision, and after
 * a failure that no decision has seen yet, so that one records when the alerts are released. Never after a success that no
 * decision waited for, nor after a failure that nothing holds back: that would train forever.
 */
export function callsForReevaluation(
  dispatch: Dispatch,
  latest: LatestDecision | null,
  { hasBackoff }: { hasBackoff: boolean },
): boolean {
  if (latest?.isHeldByTraining) return true;
  if (!hasBackoff || dispatch.endedAt === null || dispatch.state === "succeeded") return false;
  return (latest?.takenAt ?? 0) <= dispatch.endedAt + SNAPSHOT_MARGIN_MS;
}
