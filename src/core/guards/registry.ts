import type { Guard } from "../check.ts";
import { alreadyActedOn } from "./already-acted-on.ts";
import { approval } from "./approval.ts";
import { budget, totalBudget } from "./budget.ts";
import { cooldown } from "./cooldown.ts";
import { dataQuality } from "./data-quality.ts";
import { quietHours } from "./quiet-hours.ts";
import { retryBackoff } from "./retry-backoff.ts";
import { snooze } from "./snooze.ts";
import { trainingInFlight } from "./training-in-flight.ts";

/**
 * No guard may object. The report lists them in this order, after the criteria. The approval comes last: it is requested only if
 * everything else allows the training.
 */
export const GUARDS: readonly Guard[] = [
  alreadyActedOn,
  retryBackoff,
  trainingInFlight,
  cooldown,
  quietHours,
  budget,
  totalBudget,
  dataQuality,
  snooze,
  approval,
];
