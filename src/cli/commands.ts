import type { Command } from "commander";
import { createApprove, createReject } from "./approve.ts";
import { createAudit } from "./audit.ts";
import { createBacktest } from "./backtest.ts";
import { createConfig } from "./config.ts";
import { createCounters } from "./counters.ts";
import { createDecide } from "./decide.ts";
import { createDispatch } from "./dispatch.ts";
import { createDoctor } from "./doctor.ts";
import { createEmit } from "./emit.ts";
import { createExport } from "./export.ts";
import { createHistory } from "./history.ts";
import { createMigrate } from "./migrate.ts";
import { createOutcome } from "./outcome.ts";
import { createParity } from "./parity.ts";
import { createPrune } from "./prune.ts";
import { createReportBuffer } from "./report-buffer.ts";
import { createReportChecks } from "./report-checks.ts";
import { createShadow } from "./shadow.ts";
import { createSnooze, createUnsnooze } from "./snooze.ts";
import { createToken } from "./token.ts";
import { createTune } from "./tune.ts";
import { createVerify } from "./verify.ts";
import { createWhy } from "./why.ts";

/** The commands, in the order of the help text. To add one, add a file and a line here. */
export const COMMANDS: readonly (() => Command)[] = [
  createMigrate,
  createEmit,
  createReportChecks,
  createReportBuffer,
  createDecide,
  createWhy,
  createBacktest,
  createTune,
  createSnooze,
  createUnsnooze,
  createApprove,
  createReject,
  createDispatch,
  createHistory,
  createExport,
  createOutcome,
  createParity,
  createPrune,
  createCounters,
  createVerify,
  createShadow,
  createToken,
  createAudit,
  createDoctor,
  createConfig,
];
