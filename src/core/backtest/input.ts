import type { Policy } from "../policy.ts";
import type { Past } from "./past.ts";

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

/** How the model's trainings are replayed. */
export interface ReplaySettings {
  isMock: boolean;
  /** How long a training takes whose course is not on record, in seconds; null if none has ended. */
  usualSeconds: number | null;
  /** How long after its last sign of life a training holds its model, in milliseconds. */
  flightLimitMs: number;
  /** How often a drift run is expected, as a duration; null for never. */
  expectDriftRunEvery: string | null;
}
