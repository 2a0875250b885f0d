import type { PolicyNeeds } from "./policy.ts";

/** Whether two policies need the same drift checks, so that one list serves both. */
export function needSameChecks(a: PolicyNeeds, b: PolicyNeeds): boolean {
  const describe = ({ within, reach, quietChecks, weighsScores }: PolicyNeeds): string =>
    quietChecks ? `${within} ${reach} ${weighsScores}` : within;
  return describe(a) === describe(b);
}

/** What a shadow policy needs, and what is read for the policy anyway; of the drift checks only what the shadow needs. */
export function addNeeds(shadow: PolicyNeeds, policy: PolicyNeeds): PolicyNeeds {
  return {
    ...shadow,
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
