import type { Command } from "commander";
import { createDecide } from "./decide.ts";
import { createDispatch } from "./dispatch.ts";
import { createDoctor } from "./doctor.ts";
import { createEmit } from "./emit.ts";
import { createHistory } from "./history.ts";
import { createMigrate } from "./migrate.ts";
import { createReportBuffer } from "./report-buffer.ts";
import { createReportChecks } from "./report-checks.ts";

/** The commands, in the order of the help text. To add one, add a file and a line here. */
export const COMMANDS: readonly (() => Command)[] = [
  createMigrate,
  createEmit,
  createReportChecks,
  createReportBuffer,
  createDecide,
  createDispatch,
  createHistory,
  createDoctor,
];
