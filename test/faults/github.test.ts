import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createLanes } from "./lane.ts";
import { createGitHubPlans, TRAINING_KILL_POINTS } from "./plans.ts";
import { DAY } from "../support/today.ts";
import { makeRun } from "./runs.ts";

// Every fifth misbehaviour, each with another kill point; all of it changes daily.
const PLANS = createGitHubPlans(DAY).filter((_, index) => {
  const [misbehaviour, killPoint] = [
    Math.floor(index / TRAINING_KILL_POINTS.length),
    index % TRAINING_KILL_POINTS.length,
  ];
  const isToday = (misbehaviour + DAY) % 5 === 0;
  return isToday && killPoint === (7 * misbehaviour + Math.floor(DAY / 5)) % TRAINING_KILL_POINTS.length;
});

/** The short form of `npm run test:faults -- --github`: each misbehaviour once in five days. */
describe(`a misbehaving GitHub and a worker that is killed meanwhile (day ${DAY})`, () => {
  const lanes = createLanes(2);
  beforeAll(() => lanes.open());
  afterAll(() => lanes.close());

  it.concurrent.each(PLANS)(
    "$github, killed at $killAt: one training per decision",
    { timeout: 240_000 },
    async (plan) => {
      const { violations } = await lanes.use((lane) => makeRun(lane, plan));
      expect(violations).toEqual([]);
    },
  );
});
