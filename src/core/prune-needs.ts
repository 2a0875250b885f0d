import { toMs } from "./duration.ts";
import { needsOf, type Policy } from "./policy.ts";

/** How far back a policy reads what Retrigger itself recorded. Times are seconds, 0 for not at all. */
export interface PruneNeeds {
  /** Drift checks, and the decisions that were for them. */
  reach: number;
  /** Requests of the model, and of all models together. */
  requested: number;
  requestedByAll: number;
  /** Whether it reads how long the last trainings took. */
  durations: boolean;
}

/** What a model's policy and its shadow, if it has one, need together. */
export function pruneNeedsOf({ policy, shadow }: { policy: Policy; shadow: Policy | null }): PruneNeeds {
  const own = needsOfPolicy(policy);
  if (shadow === null) return own;
  const other = needsOfPolicy(shadow);
  return {
    reach: Math.max(own.reach, other.reach),
    requested: Math.max(own.requested, other.requested),
    requestedByAll: Math.max(own.requestedByAll, other.requestedByAll),
    durations: own.durations || other.durations,
  };
}

function needsOfPolicy(policy: Policy): PruneNeeds {
  const { reach, within, requestedWithin, requestedByAllWithin, waiting } = needsOf(policy);
  const seconds = (...durations: (string | null)[]): number =>
    Math.max(0, ...durations.map((duration) => (duration === null ? 0 : Math.ceil(toMs(duration) / 1000))));
  return {
    reach: seconds(reach, within),
    requested: seconds(requestedWithin),
    requestedByAll: seconds(requestedByAllWithin),
    durations: waiting,
  };
}
