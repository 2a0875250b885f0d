import type { Dispatch } from "./dispatch.ts";
import type { DispatchContext, DispatchStep, TrainerTraits } from "./transition.ts";

export function planNext(dispatch: Dispatch, context: DispatchContext, waitMs: number): DispatchStep {
  const { trainer } = context;
  switch (dispatch.state) {
    case "pending":
      return dispatch.askedAt === null ? { kind: "request", waitMs: 0 } : { kind: "search", waitMs };
    case "sent":
    case "running":
      if (trainer.runsHere) return { kind: "run", waitMs: 0 };
      return isFollowable(dispatch, trainer) ? { kind: "poll", waitMs } : { kind: "search", waitMs };
    case "unknown":
      return { kind: "search", waitMs };
    case "failed":
    case "cancelled":
      return planWatch(dispatch, context, waitMs);
    case "rejected":
    case "succeeded":
      return { kind: "done" };
    default:
      return dispatch.state satisfies never;
  }
}

/** Keeps polling a failed training until its alerts are released, because a person may re-run it. */
function planWatch(
  dispatch: Dispatch,
  { now, limits, trainer, findAlertsBackAt }: DispatchContext,
  waitMs: number,
): DispatchStep {
  if (dispatch.endedAt === null || !trainer.followsById || dispatch.externalId === null)
    return { kind: "done" };
  const alertsBackAt = findAlertsBackAt?.(dispatch.endedAt) ?? null;
  if (alertsBackAt === null || now >= alertsBackAt) return { kind: "done" };
  if (waitMs === 0) return { kind: "poll", waitMs: 0, isFresh: true };
  const pauseMs = clamp((now - dispatch.endedAt) / 4, limits.pollMs, MAX_PAUSE_MS);
  // The last poll falls just before another training may start.
  const toEndMs = alertsBackAt - now - Math.min(WATCH_MARGIN_MS, limits.pollMs);
  return {
    kind: "poll",
    waitMs: Math.round(toEndMs > 0 ? Math.min(pauseMs, toEndMs) : alertsBackAt - now),
    isFresh: true,
  };
}

const WATCH_MARGIN_MS = 2_000;

export function isFollowable(
  { externalId, statusUrl }: Pick<Dispatch, "externalId" | "statusUrl">,
  { followsById, reportsOutcomes }: TrainerTraits,
): boolean {
  return followsById ? externalId !== null : statusUrl !== null || reportsOutcomes;
}

export function lastSign({ lastSeenAt, askedAt, createdAt }: Dispatch): number {
  return lastSeenAt ?? askedAt ?? createdAt;
}

export function isPastLimit(dispatch: Dispatch, { now, limits }: DispatchContext): boolean {
  return now - lastSign(dispatch) >= computeFlightLimitMs(limits.lostAfterMs);
}

/** How long past its limit a worker waits before it gives up a training without contact. */
export function graceMs(lostAfterMs: number): number {
  return Math.min(MAX_PAUSE_MS, lostAfterMs / 4);
}

/**
 * How long after its last sign of life a training blocks its model, in milliseconds: a little longer than the worker that
 * follows it waits, so that a running worker records the end first.
 */
export function computeFlightLimitMs(lostAfterMs: number): number {
  return lostAfterMs + 2 * graceMs(lostAfterMs);
}

export const MINUTE_MS = 60_000;
export const MAX_PAUSE_MS = 10 * MINUTE_MS;

export function clamp(value: number, min: number, max: number): number {
  return Math.min(max, Math.max(min, value));
}
