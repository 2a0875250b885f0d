import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { advance } from "../../src/core/dispatch/advance.ts";
import { type Dispatch, type DispatchState, isOver } from "../../src/core/dispatch/dispatch.ts";
import { callsForReevaluation, effectsOf } from "../../src/core/dispatch/effects.ts";
import { computeFlightLimitMs } from "../../src/core/dispatch/plan.ts";
import type { DispatchContext, DispatchEffect, DispatchInput, TrainerTraits } from "../../src/core/dispatch/transition.ts";

const NOW = Date.parse("2026-11-24T12:00:00Z");
const LIMITS = { searchMs: 300_000, pollMs: 20_000, lostAfterMs: 86_400_000 };
const GITHUB: TrainerTraits = { followsById: true, reportsOutcomes: false, runsHere: false };
const WEBHOOK: TrainerTraits = { followsById: false, reportsOutcomes: true, runsHere: false };
const COMMAND: TrainerTraits = { followsById: false, reportsOutcomes: false, runsHere: true };
const CONTEXT: DispatchContext = { now: NOW, limits: LIMITS, trainer: GITHUB };

const PENDING: Dispatch = {
  state: "pending",
  reason: null,
  externalId: null,
  url: null,
  statusUrl: null,
  status: null,
  conclusion: null,
  attempt: null,
  durationSeconds: null,
  extraRuns: [],
  error: null,
  createdAt: NOW - 1_000,
  askedAt: null,
  heardAt: null,
  silentSince: null,
  startedAt: null,
  endedAt: null,
};
const ASKED: Dispatch = { ...PENDING, askedAt: NOW - 500 };
const RUN = { externalId: "7", url: "https://github.com/x/7", statusUrl: null };
const SENT: Dispatch = { ...ASKED, ...RUN, state: "sent", heardAt: NOW - 400 };
const RUNNING: Dispatch = {
  ...SENT,
  state: "running",
  status: "in_progress",
  attempt: 1,
  startedAt: NOW - 300,
};
const UNKNOWN: Dispatch = { ...ASKED, state: "unknown", error: "lost" };
const REJECTED: Dispatch = { ...ASKED, state: "rejected", error: "401" };
const FAILED: Dispatch = {
  ...RUNNING,
  state: "failed",
  status: "completed",
  conclusion: "failure",
  endedAt: NOW - 200,
};
const LOST: Dispatch = { ...FAILED, reason: "lost", conclusion: "lost" };
const SUCCEEDED: Dispatch = { ...FAILED, state: "succeeded", conclusion: "success" };
const UNREQUESTED: Dispatch = { ...PENDING, state: "cancelled", reason: "evidence_too_old", error: "old" };

const EXAMPLES: Record<string, Dispatch> = {
  pending: PENDING,
  asked: ASKED,
  sent: SENT,
  "sent, not identified": { ...SENT, externalId: null, url: null },
  running: RUNNING,
  unknown: UNKNOWN,
  rejected: REJECTED,
  failed: FAILED,
  lost: LOST,
  succeeded: SUCCEEDED,
  "cancelled before its request": UNREQUESTED,
  "cancelled by the trainer": { ...FAILED, state: "cancelled", conclusion: "cancelled" },
};

const seen = (status: string, conclusion: string | null, attempt = 1, runs: (typeof RUN)[] | null = [RUN]) =>
  ({ kind: "seen", status, conclusion, attempt, url: RUN.url, durationSeconds: 3, runs }) as const;

/** Every kind of input: facts about the trainer, manual commands, the passing of time. */
const INPUTS: Record<string, DispatchInput> = {
  opened: { kind: "opened" },
  "request differs, settings changed": { kind: "request_differs", haveSettingsChanged: true },
  "request differs, row changed": { kind: "request_differs", haveSettingsChanged: false },
  accepted: { kind: "accepted", training: RUN },
  "accepted without id": { kind: "accepted", training: null },
  "accepted means done": { kind: "accepted", training: null, isDone: true },
  refused: { kind: "refused", askedAt: ASKED.askedAt, message: "no" },
  "not sent": { kind: "not_sent", askedAt: ASKED.askedAt, message: "refused" },
  "rate limited": { kind: "rate_limited", askedAt: ASKED.askedAt, message: "later", waitMs: 5_000 },
  "answer lost": { kind: "answer_lost", askedAt: ASKED.askedAt, message: "reset" },
  found: { kind: "searched", trainings: [RUN] },
  "not found": { kind: "searched", trainings: [] },
  unavailable: { kind: "unavailable", message: "down", waitMs: null },
  unchanged: { kind: "unchanged" },
  "seen in progress": seen("in_progress", null),
  "seen successful": seen("completed", "success"),
  "seen failed": seen("completed", "failure"),
  "seen in progress again": seen("in_progress", null, 2),
  "reported successful": {
    kind: "reported",
    status: "completed",
    conclusion: "success",
    attempt: null,
    url: null,
    durationSeconds: null,
  },
  gone: { kind: "gone", message: "404" },
  "nothing to ask": { kind: "nothing_to_ask" },
  "run started": { kind: "run_started" },
  "run ended": { kind: "run_ended", conclusion: "success", message: null, durationSeconds: 1 },
  retry: { kind: "retry" },
  resend: { kind: "resend" },
  confirm: { kind: "confirm", externalId: "9" },
};

/** The state after each input that moves a dispatch; every other pair leaves the state as it is. */
const TRANSITIONS: Record<string, Partial<Record<string, DispatchState>>> = {
  pending: {
    "request differs, settings changed": "cancelled",
    "request differs, row changed": "rejected",
    // A late response to a request that was given up.
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

const step = (dispatch: Dispatch, input: DispatchInput, context: Partial<DispatchContext> = {}) => {
  const advanced = advance(dispatch, input, { ...CONTEXT, ...context });
  return { ...advanced, after: { ...dispatch, ...advanced.patch } };
};

describe("the state machine of a dispatch", () => {
  it.each(
    Object.keys(EXAMPLES).flatMap((from) => Object.keys(INPUTS).map((input) => [from, input] as const)),
  )("%s, %s: moves as the table says, and nothing else", (from, name) => {
    const dispatch = EXAMPLES[from] as Dispatch;
    const { after, effects } = step(dispatch, INPUTS[name] as DispatchInput);
    const expected = TRANSITIONS[from]?.[name] ?? dispatch.state;
    expect(after.state).toBe(expected);
    if (after.state !== dispatch.state) expect(effects).toEqual(effectsOf(after));
    expect(isOver(after.state) && after.askedAt !== null && after.state !== "rejected").toBe(
      after.endedAt !== null,
    );
  });

  it.each<[DispatchState, Partial<Dispatch>, DispatchEffect[]]>([
    ["pending", PENDING, []],
    ["sent", SENT, ["announce_request", "follow"]],
    ["running", RUNNING, ["announce_request", "follow"]],
    ["unknown", UNKNOWN, ["announce_request", "announce_unknown", "follow"]],
    ["rejected", REJECTED, ["announce_request", "release"]],
    ["succeeded", SUCCEEDED, ["announce_request", "follow", "announce_end", "release"]],
    ["failed", FAILED, ["announce_request", "follow", "announce_end", "release"]],
    ["cancelled", UNREQUESTED, ["reevaluate"]],
    [
      "cancelled",
      { ...FAILED, conclusion: "cancelled" },
      ["announce_request", "follow", "announce_end", "release"],
    ],
  ])("%s: what follows", (state, dispatch, effects) => {
    expect(effectsOf({ ...PENDING, ...dispatch, state })).toEqual(effects);
  });

  it("covers every state", () => {
    expect(new Set(Object.values(EXAMPLES).map(({ state }) => state))).toEqual(
      new Set(DispatchState.options),
    );
  });
});

describe("a request", () => {
  it.each([
    ["is made at once", PENDING, { kind: "request", waitMs: 0 }],
    ["is searched for, if it may have been made", ASKED, { kind: "search", waitMs: 0 }],
    ["is followed, once it was accepted", SENT, { kind: "follow", waitMs: 0 }],
    [
      "is searched for, if its training is not identified",
      { ...SENT, externalId: null },
      { kind: "search", waitMs: 0 },
    ],
    ["is done with, once it was refused", REJECTED, { kind: "done" }],
  ])("%s", (_, dispatch, next) => {
    expect(step(dispatch, { kind: "opened" }).next).toEqual(next);
  });

  it("that never arrived is made again, with pauses that grow to half a minute", () => {
    const pause = (ageMs: number) =>
      step({ ...ASKED, createdAt: NOW - ageMs }, INPUTS["not sent"] as DispatchInput);
    expect(pause(10).next).toEqual({ kind: "request", waitMs: 250 });
    expect(pause(10).after.askedAt).toBeNull();
    expect(pause(5_000).next).toEqual({ kind: "request", waitMs: 5_000 });
    expect(pause(900_000).next).toEqual({ kind: "request", waitMs: 30_000 });
  });

  it("that was limited waits as long as the trainer says, or a minute", () => {
    const limited = (waitMs: number | null) =>
      step(ASKED, { kind: "rate_limited", askedAt: ASKED.askedAt, message: "", waitMs }).next;
    expect(limited(5_000)).toEqual({ kind: "request", waitMs: 5_000 });
    expect(limited(null)).toEqual({ kind: "request", waitMs: 60_000 });
  });

  it("is not reset by the late failure of an earlier one", () => {
    for (const kind of ["not_sent", "refused", "answer_lost"] as const) {
      const late = step(ASKED, { kind, askedAt: NOW - 999_999, message: "late" });
      expect(late.patch).toEqual({});
    }
  });

  it("whose answer is lost is searched for as long as the limit, then left to a person", () => {
    const search = (askedAgoMs: number) =>
      step({ ...ASKED, askedAt: NOW - askedAgoMs, error: "reset" }, { kind: "searched", trainings: [] });
    expect(search(299_999).after.state).toBe("pending");
    expect(search(100_000).next).toEqual({ kind: "search", waitMs: 50_000 });
    expect(search(299_500).next).toEqual({ kind: "search", waitMs: 1_000 });
    expect(search(300_000).after).toMatchObject({
      state: "unknown",
      error: "reset; the trainer knows of no training under this run's id",
    });
  });

  it("is searched for twelve times longer while the trainer cannot be asked", () => {
    const search = (askedAgoMs: number) =>
      step({ ...ASKED, askedAt: NOW - askedAgoMs }, INPUTS["unavailable"] as DispatchInput).after.state;
    expect(search(12 * 300_000 - 1)).toBe("pending");
    expect(search(12 * 300_000)).toBe("unknown");
  });
});

describe("a training", () => {
  const DAY = LIMITS.lostAfterMs;

  it("records a sign of life four times within the limit, and not at each poll", () => {
    const unchanged = (heardAgoMs: number) =>
      step({ ...RUNNING, heardAt: NOW - heardAgoMs }, { kind: "unchanged" }).patch;
    expect(unchanged(DAY / 4 - 1)).toEqual({});
    expect(unchanged(DAY / 4)).toEqual({ heardAt: NOW });
    expect(step({ ...RUNNING, silentSince: NOW - 5 }, { kind: "unchanged" }).patch).toMatchObject({
      silentSince: null,
    });
  });

  it("that is silent counts as lost after the limit, but not at the first poll after an outage", () => {
    const silent = { ...RUNNING, heardAt: NOW - DAY };
    expect(step(silent, INPUTS["gone"] as DispatchInput).after).toMatchObject({
      state: "running",
      silentSince: NOW,
    });
    const since = { ...silent, silentSince: NOW - 600_000 };
    expect(step(since, INPUTS["gone"] as DispatchInput).after).toMatchObject({
      state: "failed",
      reason: "lost",
      conclusion: "lost",
      error: "Nothing was heard of it for 86400 s. 404",
      endedAt: NOW,
    });
    expect(step({ ...since, heardAt: NOW - DAY + 1 }, INPUTS["gone"] as DispatchInput).after.state).toBe(
      "running",
    );
  });

  it("that cannot be followed is left to a person instead", () => {
    const context = { trainer: { ...WEBHOOK, reportsOutcomes: false } };
    const silent = { ...SENT, statusUrl: null, heardAt: NOW - DAY, silentSince: NOW - 600_000 };
    expect(step(silent, { kind: "searched", trainings: [] }, context)).toMatchObject({
      after: { state: "unknown" },
      next: { kind: "done" },
    });
  });

  it("that is unknown releases its model after the limit", () => {
    const old = { ...UNKNOWN, askedAt: NOW - computeFlightLimitMs(DAY) };
    expect(step(old, { kind: "opened" })).toMatchObject({ next: { kind: "done" } });
    expect(step(old, { kind: "opened" }).effects).toContain("release");
    expect(step(UNKNOWN, { kind: "opened" }).effects).not.toContain("release");
  });

  it("counts as ended only once the list of runs shows it, or has had time to", () => {
    const end = (askedAgoMs: number, runs: (typeof RUN)[]) =>
      step({ ...RUNNING, askedAt: NOW - askedAgoMs }, seen("completed", "success", 1, runs));
    expect(end(1_000, []).after.state).toBe("running");
    expect(end(1_000, []).next).toMatchObject({ kind: "follow", isFresh: true });
    expect(end(300_000, []).after.state).toBe("succeeded");
    const older = { ...RUN, externalId: "6" };
    expect(end(1_000, [older, RUN])).toMatchObject({
      after: { state: "running", externalId: "6", extraRuns: ["7"] },
      next: { kind: "follow", waitMs: 0, isFresh: true },
    });
    expect(end(1_000, [older, RUN]).effects).toEqual(["announce_extra_runs"]);
  });

  it("that failed is polled until its alerts are released, the last time just before", () => {
    const watch = (leftMs: number, endedAgoMs = 200) =>
      step(
        { ...FAILED, endedAt: NOW - endedAgoMs },
        { kind: "gone", message: "" },
        { findAlertsBackAt: () => NOW + leftMs },
      ).next;
    expect(watch(3_600_000)).toEqual({ kind: "follow", waitMs: 20_000, isFresh: true });
    expect(watch(3_600_000, 400_000)).toEqual({ kind: "follow", waitMs: 100_000, isFresh: true });
    expect(watch(10_000)).toEqual({ kind: "follow", waitMs: 8_000, isFresh: true });
    expect(watch(0)).toEqual({ kind: "done" });
    expect(
      step(FAILED, { kind: "opened" }, { trainer: COMMAND, findAlertsBackAt: () => NOW + 9 }).next,
    ).toEqual({
      kind: "done",
    });
  });
});

describe("the end of a training", () => {
  const guarded = { retriggerGuard: true };
  const held = { takenAt: NOW, isHeldByTraining: true };
  const free = { takenAt: NOW, isHeldByTraining: false };
  const before = { takenAt: NOW - 900_000, isHeldByTraining: false };

  it.each([
    ["a success that a decision waited for", SUCCEEDED, held, guarded, true],
    ["a success that nothing waited for", SUCCEEDED, before, { retriggerGuard: false }, false],
    ["a failure that no decision has seen", { ...FAILED, endedAt: NOW - 200 }, before, guarded, true],
    ["a failure that a later decision has seen", { ...FAILED, endedAt: NOW - 100_000 }, free, guarded, false],
    ["a failure, without the guard", FAILED, before, { retriggerGuard: false }, false],
    [
      "a failure that a decision waited for, without the guard",
      FAILED,
      held,
      { retriggerGuard: false },
      true,
    ],
    ["a refusal that a decision waited for", REJECTED, held, guarded, true],
    ["a refusal that nothing waited for", REJECTED, before, guarded, false],
  ])("%s calls for a re-evaluation as it should", (_, dispatch, latest, policy, expected) => {
    expect(callsForReevaluation(dispatch, latest, policy)).toBe(expected);
  });
});

describe("whatever happens in whatever order", () => {
  const traits = fc.constantFrom(GITHUB, WEBHOOK, COMMAND, { ...WEBHOOK, reportsOutcomes: false });
  const manual = ["retry", "resend", "confirm"];
  const machine = Object.entries(INPUTS).filter(([, { kind }]) => !manual.includes(kind));
  const event = fc.record({
    input: fc.constantFrom(...machine.map(([, input]) => input)),
    passesMs: fc.integer({ min: 0, max: 4 * 3_600_000 }),
  });

  /** Claims as Postgres does, and makes the responses refer to the outstanding request. */
  function run(trainer: TrainerTraits, events: { input: DispatchInput; passesMs: number }[]) {
    let dispatch = { ...PENDING, createdAt: NOW };
    let now = NOW;
    let requests = 0;
    const history: { before: Dispatch; after: Dispatch; input: DispatchInput; isGivenBack: boolean }[] = [];
    for (const { input: drawn, passesMs } of events) {
      now += passesMs;
      const opened = advance(dispatch, { kind: "opened" }, { ...CONTEXT, now, trainer });
      if (opened.next.kind === "request") {
        requests += 1;
        dispatch = { ...dispatch, askedAt: now };
      }
      const input = "askedAt" in drawn ? { ...drawn, askedAt: dispatch.askedAt } : drawn;
      const { patch } = advance(dispatch, input, { ...CONTEXT, now, trainer });
      const after = { ...dispatch, ...patch };
      const isGivenBack = dispatch.askedAt !== null && after.askedAt === null;
      if (isGivenBack) requests -= 1;
      history.push({ before: dispatch, after, input, isGivenBack });
      dispatch = after;
    }
    return { dispatch, requests, history, now };
  }

  it("no second request is made without a manual command", () => {
    fc.assert(
      fc.property(traits, fc.array(event, { maxLength: 40 }), (trainer, events) => {
        const { requests, history } = run(trainer, events);
        // A request that may have arrived is never given back.
        expect(requests).toBeLessThanOrEqual(1);
        for (const { isGivenBack, input } of history)
          if (isGivenBack) expect(["not_sent", "rate_limited"]).toContain(input.kind);
      }),
    );
  });

  it("an end is left only by a re-run, by a training that turns up again, or by a person", () => {
    fc.assert(
      fc.property(traits, fc.array(event, { maxLength: 40 }), (trainer, events) => {
        for (const { before, after, input } of run(trainer, events).history) {
          if (!isOver(before.state) || after.state === before.state) continue;
          expect(["seen", "reported"]).toContain(input.kind);
          const isRerun = (after.attempt ?? 0) > (before.attempt ?? 0);
          expect(isRerun || before.reason === "lost").toBe(true);
        }
      }),
    );
  });

  it("the same input twice changes nothing the second time, and has the same effects", () => {
    fc.assert(
      fc.property(traits, fc.array(event, { maxLength: 20 }), event, (trainer, events, { input }) => {
        const { dispatch, now } = run(trainer, events);
        const context = { ...CONTEXT, now, trainer };
        const once = { ...dispatch, ...advance(dispatch, input, context).patch };
        // The status of one run says nothing about the older one that the list named instead.
        fc.pre(input.kind !== "seen" || once.externalId === dispatch.externalId);
        const twice = advance(once, input, context);
        const unheard = { heardAt: null, silentSince: null };
        expect({ ...once, ...twice.patch, ...unheard }).toEqual({ ...once, ...unheard });
        expect(effectsOf({ ...once, ...twice.patch })).toEqual(effectsOf(once));
      }),
    );
  });

  it("nothing stays open past its limit without a sign of life", () => {
    // What a trainer may respond to each question without showing the training.
    const unavailable = { kind: "unavailable", message: "down", waitMs: null } as const;
    const silences = fc.record({
      follow: fc.constantFrom<DispatchInput>(
        unavailable,
        { kind: "gone", message: "404" },
        { kind: "nothing_to_ask" },
      ),
      search: fc.constantFrom<DispatchInput>(unavailable, { kind: "searched", trainings: [] }),
    });
    fc.assert(
      fc.property(traits, fc.array(event, { maxLength: 20 }), silences, (trainer, events, silence) => {
        if (trainer.runsHere) return;
        const { dispatch, now } = run(trainer, events);
        let current: Dispatch = { ...dispatch, askedAt: dispatch.askedAt ?? now };
        let time = now;
        let question: "follow" | "search" = "search";
        const first = advance(current, { kind: "opened" }, { ...CONTEXT, now, trainer }).next;
        if (first.kind === "done") return;
        if (first.kind === "follow") question = "follow";
        for (let looks = 0; looks < 5_000; looks += 1) {
          const { patch, next, effects } = advance(current, silence[question], {
            ...CONTEXT,
            now: time,
            trainer,
          });
          current = { ...current, ...patch };
          if (next.kind === "done") {
            if (current.state === "unknown") expect(effects).toContain("release");
            return;
          }
          if (next.kind === "follow" || next.kind === "search") question = next.kind;
          time += Math.max(1, next.waitMs);
        }
        throw new Error(`still ${current.state} after ${(time - now) / 3_600_000} hours`);
      }),
    );
  });
});
