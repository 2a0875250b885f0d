import type { DecisionLock } from "../../src/redis/decision-lock.ts";

/** A lock that every run finds free; only its register of follow-ups works. */
export function withoutLock(lock: DecisionLock): DecisionLock {
  return {
    ...lock,
    enter: async () => ({ outcome: "entered" }),
    async enterFollowUp(model, runId) {
      await lock.unfold(model, runId);
      return true;
    },
    hold: async () => "held",
    renew: async () => {},
    leave: async () => null,
  };
}
