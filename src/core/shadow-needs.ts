import type { PolicyNeeds } from "./policy.ts";

/** Whether two policies need the same drift checks, so that one list serves both. */
export function needSameChecks(a: PolicyNeeds, b: PolicyNeeds): boolean {
  const describe = ({ within, reach, quietChecks, weighsScores }: PolicyNeeds): string =>
    quietChecks ? `${within} ${reach} ${weighsScores}` : within;
  return describe(a) === describe(b);
}

/** The parts of the evidence beside the drift checks. */
type Part = "buffer" | "trainings";

/** Which of them differ with a need; those of the drift checks are compared by `needSameChecks`. */
const PARTS = {
  within: [],
  reach: [],
  quietChecks: [],
  weighsScores: [],
  growth: ["buffer"],
  waiting: ["buffer", "trainings"],
  lastTraining: ["trainings"],
  lastSuccess: ["buffer", "trainings"],
  requestedWithin: ["trainings"],
  requestedByAllWithin: ["trainings"],
} as const satisfies Record<keyof PolicyNeeds, readonly Part[]>;

/** Whether a part of the evidence is the same for both needs. */
export function needSamePart(part: Part, a: PolicyNeeds, b: PolicyNeeds): boolean {
  const keys = Object.keys(PARTS) as (keyof PolicyNeeds)[];
  return keys.every((key) => !(PARTS[key] as readonly Part[]).includes(part) || a[key] === b[key]);
}

/** What a shadow policy needs, and what is read for the policy anyway; of the drift checks only what the shadow needs. */
export function addNeeds(shadow: PolicyNeeds, policy: PolicyNeeds): PolicyNeeds {
  // Each by itself and no spread, so that the compiler requires an entry for a new one.
  return {
    within: shadow.within,
    reach: shadow.reach,
    quietChecks: shadow.quietChecks,
    weighsScores: shadow.weighsScores,
    growth: shadow.growth || policy.growth,
    waiting: shadow.waiting || policy.waiting,
    lastTraining: shadow.lastTraining || policy.lastTraining,
    lastSuccess: shadow.lastSuccess || policy.lastSuccess,
    requestedWithin: shadow.requestedWithin ?? policy.requestedWithin,
    requestedByAllWithin: shadow.requestedByAllWithin ?? policy.requestedByAllWithin,
  };
}

/** What of the trainings a shadow policy needs beyond what is read for the policy. */
export function moreTrainings(shadow: PolicyNeeds, policy: PolicyNeeds) {
  const unlessRead = (key: "requestedWithin" | "requestedByAllWithin"): string | null =>
    shadow[key] === policy[key] ? null : shadow[key];
  return {
    lastTraining: shadow.lastTraining && !policy.lastTraining,
    durations: shadow.waiting && !policy.waiting,
    requestedWithin: unlessRead("requestedWithin"),
    requestedByAllWithin: unlessRead("requestedByAllWithin"),
  };
}
