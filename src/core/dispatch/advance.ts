import { type Dispatch, type DispatchPatch, isTerminal } from "./dispatch.ts";
import { effectsOf } from "./effects.ts";
import {
  heartbeat,
  mayBecome,
  reduceNoContact,
  reduceRunEnded,
  reduceSeen,
  toProgress,
} from "./following.ts";
import { clamp, MAX_PAUSE_MS, MINUTE_MS, planNext } from "./plan.ts";
import {
  confirm,
  isConfirmable,
  isOutstanding,
  postpone,
  reduceAccepted,
  reduceDifference,
  reduceOpened,
  reduceSearched,
  reduceUnavailable,
  REOPENED,
} from "./requesting.ts";
import type { Advance, Change, DispatchContext, DispatchInput } from "./transition.ts";

/**
 * The state machine of a dispatch: pure, with the time as an argument. The caller reads the row, calls the trainer, passes
 * the response to this function, and writes the patch only if the row has not changed meanwhile; otherwise it rereads the
 * row and calls this function again.
 */
export function advance(dispatch: Dispatch, input: DispatchInput, context: DispatchContext): Advance {
  const change = reduce(dispatch, input, context);
  const patch = dropUnchanged(dispatch, change.patch ?? {});
  const after = { ...dispatch, ...patch };
  const hasMoved = input.kind === "opened" || after.state !== dispatch.state || isNewEnd(dispatch, after);
  const effects = hasMoved ? effectsOf(after) : [];
  if (after.extraRuns.length > dispatch.extraRuns.length && !effects.includes("announce_extra_runs"))
    effects.push("announce_extra_runs");
  if (change.isGivenUp && !effects.includes("reevaluate_if_blocked")) effects.push("reevaluate_if_blocked");
  const next = change.next ?? planNext(after, context, context.limits.pollMs);
  return { patch, effects, next, ...(change.note === undefined ? {} : { note: change.note }) };
}

function reduce(dispatch: Dispatch, input: DispatchInput, context: DispatchContext): Change {
  switch (input.kind) {
    case "opened":
      return reduceOpened(dispatch, context);
    case "request_differs":
      return reduceDifference(dispatch, input.haveSettingsChanged);
    case "accepted":
      return reduceAccepted(dispatch, input, context);
    case "refused":
      return isOutstanding(dispatch, input) ? { patch: { state: "rejected", error: input.message } } : {};
    case "not_sent":
      return postpone(dispatch, input, clamp(context.now - dispatch.createdAt, 250, 30_000));
    case "rate_limited":
      return postpone(dispatch, input, input.waitMs ?? Math.max(MINUTE_MS, context.now - dispatch.createdAt));
    case "response_lost":
      return isOutstanding(dispatch, input)
        ? { patch: { error: input.message }, next: { kind: "search", waitMs: 0 } }
        : {};
    case "searched":
      return reduceSearched(dispatch, input.trainings, context);
    case "unavailable":
      return reduceUnavailable(dispatch, input, context);
    case "unchanged":
      return { patch: heartbeat(dispatch, context) };
    case "seen":
      return reduceSeen(dispatch, input, context);
    case "reported":
      return mayBecome(dispatch, input) ? { patch: toProgress(dispatch, input, context) } : {};
    case "gone":
      return reduceNoContact(dispatch, input.message, null, context);
    case "not_pollable":
      return reduceNoContact(dispatch, "The trainer has not reported the outcome", MAX_PAUSE_MS, context);
    case "run_started":
      return dispatch.state === "sent"
        ? {
            patch: {
              state: "running",
              status: "in_progress",
              startedAt: context.now,
              lastSeenAt: context.now,
            },
          }
        : {};
    case "run_ended":
      return reduceRunEnded(dispatch, input, context);
    case "retry":
      return dispatch.state === "rejected" ? { patch: REOPENED } : {};
    case "resend":
      return dispatch.state === "unknown" ? { patch: REOPENED } : {};
    case "confirm":
      return isConfirmable(dispatch) ? { patch: confirm(input, context) } : {};
    default:
      return input satisfies never;
  }
}

function isNewEnd(before: Dispatch, after: Dispatch): boolean {
  return isTerminal(after.state) && after.endedAt !== before.endedAt;
}

function dropUnchanged(dispatch: Dispatch, patch: DispatchPatch): DispatchPatch {
  return Object.fromEntries(
    Object.entries(patch).filter(
      ([name, value]) => JSON.stringify(value) !== JSON.stringify(dispatch[name as keyof Dispatch]),
    ),
  );
}
