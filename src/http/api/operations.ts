import { accessOperations } from "./access.ts";
import { backtestOperations } from "./backtest.ts";
import { decisionOperations } from "./decisions.ts";
import { eventOperations } from "./events.ts";
import { exportOperations } from "./export.ts";
import { modelOperations } from "./models.ts";
import type { AnyOperation } from "./operation.ts";
import { outcomeOperations } from "./outcomes.ts";
import { parityOperations } from "./parity.ts";
import { requestOperations } from "./requests.ts";
import { shadowOperations } from "./shadow.ts";
import { streamOperations } from "./streams.ts";
import { verificationOperations } from "./verification.ts";

/** Every operation of the API. */
export const OPERATIONS: readonly AnyOperation[] = [
  ...eventOperations,
  ...requestOperations,
  ...modelOperations,
  ...backtestOperations,
  // Before those with a decision's number in the same place.
  ...exportOperations,
  ...decisionOperations,
  ...outcomeOperations,
  ...parityOperations,
  ...verificationOperations,
  ...shadowOperations,
  ...streamOperations,
  ...accessOperations,
];
