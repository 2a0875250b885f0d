import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { runBacktest } from "../../../src/use-cases/backtest.ts";
import { createPastWorld, type PastStep, type PastWorld } from "../../support/past-world.ts";
import { policies } from "../../unit/policy/arbitraries.ts";
import { FEATURES } from "../../unit/policy/evidence-arbitraries.ts";

const DAYS = 40;
const DAY_MS = 86_400_000;
const MODELS = 6;

/** What happens on a day: a drift run, rows, and now and then what people do. */
const days = fc.record({
  hour: fc.integer({ min: 0, max: 23 }),
  isRun: fc.boolean(),
  checks: fc.array(
    fc.record({
      score: fc.integer({ min: 0, max: 24 }).map((sixteenths) => sixteenths / 16),
      threshold: fc.constantFrom(0.5, 1),
      samples: fc.constantFrom(50, 100, 500),
    }),
    { minLength: 1, maxLength: FEATURES.length },
  ),
  rows: fc.constantFrom(0, 1, 20, 60),
  deed: fc.oneof(
    { weight: 12, arbitrary: fc.constant("none" as const) },
    fc.constantFrom("snooze" as const, "force" as const, "event" as const),
    { weight: 4, arbitrary: fc.constant("approve" as const) },
  ),
});
type Day = ReturnType<(typeof days)["generate"]>["value"];
const trainings = fc.record({
  conclusion: fc.constantFrom("success", "success", "failure"),
  message: fc.constant(null),
  durationSeconds: fc.constantFrom(60, 3_600, 40_000),
});

const seed = Number(process.env["BACKTEST_SEED"] ?? Date.now() % 1e9);
let world: PastWorld;

beforeAll(async () => {
  const sampled = fc.sample(policies, { seed, numRuns: MODELS });
  world = await createPastWorld(
    Object.fromEntries(
      sampled.map((policy, index) => [`model-${index}`, { policy, isMock: index % 4 === 3 }]),
    ),
  );
  const start = Date.now() - DAYS * DAY_MS;
  const steps = [...world.config.models.keys()].flatMap((model, index) =>
    fc
      .sample(days, { seed: seed + index, numRuns: DAYS })
      // Nothing happens to two models at the same instant: which came first would be unknown.
      .flatMap((day, number) =>
        listSteps(model, day, start + number * DAY_MS + day.hour * 3_600_000 + index * 137_911),
      ),
  );
  const courses = fc.sample(trainings, { seed, numRuns: 10_000 });
  await world.live(steps, () => courses.pop() as (typeof courses)[number]);
}, 120_000);

afterAll(() => world.close());

function listSteps(model: string, { isRun, checks, rows, deed }: Day, at: number): PastStep[] {
  const runId = `${model}-${at}`;
  const reported = checks.map((check, index) => ({ feature: FEATURES[index] ?? "", ...check }));
  const run: PastStep = {
    at,
    async run(service) {
      await service.saveReports(model, { runId, source: "monitor", checks: isRun ? reported : [], rows });
      if (isRun) await service.receiveEvent(model, { runId, source: "monitor" });
    },
  };
  const event: PastStep = {
    at: at + 1_800_000,
    run: async (service, database) => {
      if (deed === "snooze")
        await database.saveSnooze({ model, forSeconds: 200_000, reason: "Holiday", by: "test" });
      if (deed === "force") await database.saveOverride({ model, by: "test", reason: "Release" });
      if (deed === "approve") return service.approve(model, { by: "test", reason: "Sound" }).catch(() => {});
      return service.receiveEvent(model, { runId: `${runId}-again`, source: "test" });
    },
  };
  return deed === "none" ? [run] : [run, event];
}

describe(`a backtest of the policy in force (BACKTEST_SEED=${seed})`, () => {
  it("reproduces every verdict that Retrigger recorded over simulated weeks", async () => {
    let triggers = 0;
    for (const model of world.config.models.keys()) {
      // Before the first decision, the replay would be on its own.
      const [first] = await world.sql<{ seconds: number }>(
        `SELECT ceil(extract(epoch FROM now() - min(taken_at)) + 0.5)::int AS seconds
         FROM retraining_decisions WHERE model = $1`,
        [model],
      );
      const { reproduction, inForce } = await runBacktest(
        { ...world.config, database: world.database },
        { model, candidate: null, since: `${first?.seconds}s`, cadence: "recorded" },
      );
      const policy = JSON.stringify(world.config.models.get(model)?.policy);
      expect({ model, policy, exceptions: reproduction?.exceptions }).toEqual({
        model,
        policy,
        exceptions: [],
      });
      expect(reproduction?.recorded).toBeGreaterThan(10);
      triggers += inForce.firings.length;
    }
    expect(triggers).toBeGreaterThan(0);
  });
});
