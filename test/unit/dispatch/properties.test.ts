import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { advance } from "../../../src/core/dispatch/advance.ts";
import { type Dispatch, isTerminal } from "../../../src/core/dispatch/dispatch.ts";
import { effectsOf } from "../../../src/core/dispatch/effects.ts";
import type { DispatchInput, TrainerTraits } from "../../../src/core/dispatch/transition.ts";
import { COMMAND, CONTEXT, GITHUB, INPUTS, NOW, PENDING, WEBHOOK } from "./examples.ts";

describe("any sequence of inputs", () => {
  const traits = fc.constantFrom(GITHUB, WEBHOOK, COMMAND, { ...WEBHOOK, reportsOutcomes: false });
  const manual = ["retry", "resend", "confirm"];
  const machine = Object.entries(INPUTS).filter(([, { kind }]) => !manual.includes(kind));
  const event = fc.record({
    input: fc.constantFrom(...machine.map(([, input]) => input)),
    passesMs: fc.integer({ min: 0, max: 4 * 3_600_000 }),
  });

  /** Claims requests as Postgres does, and makes responses refer to the outstanding request. */
  function run(trainer: TrainerTraits, events: { input: DispatchInput; passesMs: number }[]) {
    let dispatch = { ...PENDING, createdAt: NOW };
    let now = NOW;
    let requests = 0;
    const history: { before: Dispatch; after: Dispatch; input: DispatchInput; isReleased: boolean }[] = [];
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
      const isReleased = dispatch.askedAt !== null && after.askedAt === null;
      if (isReleased) requests -= 1;
      history.push({ before: dispatch, after, input, isReleased });
      dispatch = after;
    }
    return { dispatch, requests, history, now };
  }

  it("sends no second request without a manual command", () => {
    fc.assert(
      fc.property(traits, fc.array(event, { maxLength: 40 }), (trainer, events) => {
        const { requests, history } = run(trainer, events);
        // The claim of a request that may have arrived is never released.
        expect(requests).toBeLessThanOrEqual(1);
        for (const { isReleased, input } of history)
          if (isReleased) expect(["not_sent", "rate_limited"]).toContain(input.kind);
      }),
    );
  });

  it("leaves a final state only by a re-run, a training that reappears, or a manual command", () => {
    fc.assert(
      fc.property(traits, fc.array(event, { maxLength: 40 }), (trainer, events) => {
        for (const { before, after, input } of run(trainer, events).history) {
          if (!isTerminal(before.state) || after.state === before.state) continue;
          expect(["seen", "reported"]).toContain(input.kind);
          const isRerun = (after.attempt ?? 0) > (before.attempt ?? 0);
          expect(isRerun || before.reason === "lost").toBe(true);
        }
      }),
    );
  });

  it("changes nothing when the last input is repeated, and has the same effects", () => {
    fc.assert(
      fc.property(traits, fc.array(event, { maxLength: 20 }), event, (trainer, events, { input }) => {
        const { dispatch, now } = run(trainer, events);
        const context = { ...CONTEXT, now, trainer };
        const once = { ...dispatch, ...advance(dispatch, input, context).patch };
        // The status of one run says nothing about the older run that replaced it.
        fc.pre(input.kind !== "seen" || once.externalId === dispatch.externalId);
        const twice = advance(once, input, context);
        const unheard = { lastSeenAt: null, unreachableSince: null };
        expect({ ...once, ...twice.patch, ...unheard }).toEqual({ ...once, ...unheard });
        expect(effectsOf({ ...once, ...twice.patch })).toEqual(effectsOf(once));
      }),
    );
  });

  it("leaves nothing open past its limit without a sign of life", () => {
    // Responses to each question that give no sign of life.
    const unavailable = { kind: "unavailable", message: "down", waitMs: null } as const;
    const silences = fc.record({
      poll: fc.constantFrom<DispatchInput>(
        unavailable,
        { kind: "gone", message: "404" },
        { kind: "not_pollable" },
      ),
      search: fc.constantFrom<DispatchInput>(unavailable, { kind: "searched", trainings: [] }),
    });
    fc.assert(
      fc.property(traits, fc.array(event, { maxLength: 20 }), silences, (trainer, events, silence) => {
        if (trainer.runsHere) return;
        const { dispatch, now } = run(trainer, events);
        let current: Dispatch = { ...dispatch, askedAt: dispatch.askedAt ?? now };
        let time = now;
        let question: "poll" | "search" = "search";
        const first = advance(current, { kind: "opened" }, { ...CONTEXT, now, trainer }).next;
        if (first.kind === "done") return;
        if (first.kind === "poll") question = "poll";
        for (let looks = 0; looks < 5_000; looks += 1) {
          const { patch, next, effects } = advance(current, silence[question], {
            ...CONTEXT,
            now: time,
            trainer,
          });
          current = { ...current, ...patch };
          if (next.kind === "done") {
            if (current.state === "unknown") expect(effects).toContain("reevaluate_if_blocked");
            return;
          }
          if (next.kind === "poll" || next.kind === "search") question = next.kind;
          time += Math.max(1, next.waitMs);
        }
        throw new Error(`The dispatch is still ${current.state} after ${(time - now) / 3_600_000} hours`);
      }),
    );
  });
});
