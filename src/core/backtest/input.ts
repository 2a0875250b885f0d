import type { Policy } from "../policy.ts";
import type { Past } from "./past.ts";
import type { ReplaySettings } from "./replay.ts";

/**
 * When policies decide in a replay, beside when time alone could change something: when a decision is on record (`recorded`), when
 * the event of a drift run came (`events`), or at an interval in milliseconds.
 */
export type Cadence = "recorded" | "events" | { everyMs: number };

export interface BacktestInput {
  past: Past;
  /** Of the policy in force. */
  policyHash: string;
  inForce: Policy;
  candidate: Policy | null;
  cadence: Cadence;
  settings: ReplaySettings;
}
