import { describe, expect, it } from "vitest";
import { type Dispatch, DispatchState, isTerminal } from "../../../src/core/dispatch/dispatch.ts";
import { effectsOf } from "../../../src/core/dispatch/effects.ts";
import type { DispatchEffect, DispatchInput } from "../../../src/core/dispatch/transition.ts";
import {
  EXAMPLES,
  FAILED,
  INPUTS,
  PENDING,
  REJECTED,
  RUNNING,
  SENT,
  step,
  SUCCEEDED,
  UNKNOWN,
  UNREQUESTED,
} from "./examples.ts";

/** The state after each input that changes it; all other pairs leave the state unchanged. */
const TRANSITIONS: Record<string, Partial<Record<string, DispatchState>>> = {
  pending: {
    "request differs, settings changed": "cancelled",
    "request differs, row changed": "rejected",
    // A late response to a request that was abandoned.
    accepted: "sent",
    "accepted without id": "sent",
    "accepted means done": "succeeded",
  },
  asked: {
    accepted: "sent",
    "accepted without id": "sent",
    "accepted means done": "succeeded",
    refused: "rejected",
    found: "sent",
    "seen in progress": "running",
    "seen in progress again": "running",
    "reported successful": "succeeded",
    confirm: "sent",
  },
  sent: {
    "seen in progress": "running",
    "seen in progress again": "running",
    "seen successful": "succeeded",
    "seen failed": "failed",
    "reported successful": "succeeded",
    "run started": "running",
    "run ended": "succeeded",
  },
  "sent, not identified": {
    "seen in progress": "running",
    "seen in progress again": "running",
    "reported successful": "succeeded",
    "run started": "running",
    "run ended": "succeeded",
  },
  running: {
    "seen successful": "succeeded",
    "seen failed": "failed",
    "reported successful": "succeeded",
    "run ended": "succeeded",
  },
  unknown: {
    accepted: "sent",
    "accepted without id": "sent",
    "accepted means done": "succeeded",
    found: "sent",
    "seen in progress": "running",
    "seen in progress again": "running",
    "reported successful": "succeeded",
    resend: "pending",
    confirm: "sent",
  },
  rejected: { retry: "pending" },
  failed: { "seen in progress again": "running" },
  lost: {
    "seen in progress": "running",
    "seen in progress again": "running",
    "seen successful": "succeeded",
    "reported successful": "succeeded",
  },
  succeeded: {},
  "cancelled before its request": {},
  "cancelled by the trainer": { "seen in progress again": "running" },
};

describe("the state machine of a dispatch", () => {
  it.each(
    Object.keys(EXAMPLES).flatMap((from) => Object.keys(INPUTS).map((input) => [from, input] as const)),
  )("%s, %s: changes the state only as the table says", (from, name) => {
    const dispatch = EXAMPLES[from] as Dispatch;
    const { after, effects } = step(dispatch, INPUTS[name] as DispatchInput);
    const expected = TRANSITIONS[from]?.[name] ?? dispatch.state;
    expect(after.state).toBe(expected);
    if (after.state !== dispatch.state) expect(effects).toEqual(effectsOf(after));
    expect(isTerminal(after.state) && after.askedAt !== null && after.state !== "rejected").toBe(
      after.endedAt !== null,
    );
  });

  it.each<[DispatchState, Partial<Dispatch>, DispatchEffect[]]>([
    ["pending", PENDING, []],
    ["sent", SENT, ["announce_request", "follow"]],
    ["running", RUNNING, ["announce_request", "follow"]],
    ["unknown", UNKNOWN, ["announce_request", "announce_unknown", "follow"]],
    ["rejected", REJECTED, ["announce_request", "reevaluate_if_blocked"]],
    ["succeeded", SUCCEEDED, ["announce_request", "follow", "announce_end", "reevaluate_if_blocked"]],
    ["failed", FAILED, ["announce_request", "follow", "announce_end", "reevaluate_if_blocked"]],
    ["cancelled", UNREQUESTED, ["reevaluate"]],
    [
      "cancelled",
      { ...FAILED, conclusion: "cancelled" },
      ["announce_request", "follow", "announce_end", "reevaluate_if_blocked"],
    ],
  ])("%s: has the expected effects", (state, dispatch, effects) => {
    expect(effectsOf({ ...PENDING, ...dispatch, state })).toEqual(effects);
  });

  it("covers every state", () => {
    expect(new Set(Object.values(EXAMPLES).map(({ state }) => state))).toEqual(
      new Set(DispatchState.options),
    );
  });
});
