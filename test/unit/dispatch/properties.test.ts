import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  advance,
  type Dispatch,
  type DispatchInput,
  effectsOf,
  isOver,
  type TrainerTraits,
} from "../../../src/core/dispatch/advance.ts";
import { COMMAND, CONTEXT, GITHUB, INPUTS, NOW, PENDING, WEBHOOK } from "./examples.ts";

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
