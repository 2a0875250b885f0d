import { statSync } from "node:fs";
import { resolve } from "node:path";
import { z } from "zod";
import type { Training } from "../../core/dispatch/dispatch.ts";
import { CommandRequest, type TrainingOrder } from "../../core/dispatch/request.ts";
import { fault, type Finding, ok } from "../../core/finding.ts";
import { type Settings, wholeNumber } from "../../core/setting.ts";
import { findProgram, isExecutable } from "../../process/find-program.ts";
import type { Redact } from "../../process/redact.ts";
import { json } from "../../settings/schemas.ts";
import type { Trainer, TrainerDefinition } from "../trainer.ts";
import { runCommand } from "./run.ts";

const SETTINGS = {
  command: {
    variable: "TRAINER_COMMAND",
    schema: json(
      z.array(z.string().regex(/^[^\0]*$/)).min(1),
      'a JSON array of strings such as ["python","train.py","--drift-score","{drift_score}"]',
    ),
    required: 'the program to run, such as ["python","train.py"]',
    meaning:
      "JSON array: program and arguments, which may contain the placeholders `{reason}`, `{drift_score}`, `{buffer_size}`, `{decision_id}` and `{model}`.",
    secret: "hidden",
  },
  workingDirectory: {
    variable: "TRAINER_COMMAND_DIRECTORY",
    schema: z.string(),
    default: ".",
    meaning: "The program's working directory.",
  },
  environment: {
    variable: "TRAINER_COMMAND_ENVIRONMENT",
    schema: z.union(
      [
        z
          .string()
          .regex(/^\w+(\s*,\s*\w+)*$/)
          .transform((text) => text.split(/\s*,\s*/)),
        z.array(z.string().regex(/^\w+$/)).min(1),
      ],
      { error: "must be variable names separated by commas" },
    ),
    default: "PATH,HOME,LANG",
    meaning: "The only environment variables that the program gets.",
    namesVariables: true,
  },
  limitSeconds: {
    variable: "TRAINER_COMMAND_LIMIT_SECONDS",
    schema: wholeNumber(1, 20 * 86_400),
    default: "86400",
    meaning: "How long the program may run.",
  },
} as const satisfies Settings;

/** How the program is run. */
interface CommandSettings {
  /** Program and arguments, with placeholders such as {drift_score}. */
  command: readonly string[];
  workingDirectory: string;
  /** The only environment variables that the program gets. */
  environment: Readonly<Record<string, string>>;
  limitMs: number;
}

/**
 * Runs a program on this machine. A dispatch puts it on the `training` queue, where it cannot get lost; it runs once, as a
 * child process of a worker, and never outlives that worker.
 */
export const commandTrainer: TrainerDefinition<typeof SETTINGS> = {
  name: "command",
  meaning: "Runs a program on the worker's machine.",
  settings: SETTINGS,
  create({ settings: { command, workingDirectory, environment: names, limitSeconds }, environment, redact }) {
    const passed = names.flatMap((name) =>
      environment[name] === undefined ? [] : [[name, environment[name]]],
    );
    return createCommandTrainer(
      {
        command,
        workingDirectory,
        environment: Object.fromEntries(passed),
        limitMs: limitSeconds * 1000,
      },
      redact,
    );
  },
};

function createCommandTrainer(settings: CommandSettings, redact: Redact): Trainer {
  return {
    name: "command",
    triggerWord: "trigger",
    renderRequest: (order) => renderCommand(settings, order),
    preflight: async () => [diagnose(settings)],
    remote: {
      traits: { followsById: false, reportsOutcomes: false, runsHere: true },
      request: async ({ key }) => ({ outcome: "accepted", training: trainingOf(key) }),
      // The request itself starts nothing, so it can always count as accepted.
      search: async ({ key }) => [trainingOf(key)],
      identify: (text) => ({ externalId: text }),
      poll: async () => ({ outcome: "not_pollable" }),
      run: async ({ request }, options) => {
        const command = CommandRequest.parse(request);
        return runCommand(command, { ...settings, redact }, options);
      },
    },
  };
}

function trainingOf(key: string): Training {
  return { externalId: key, url: null, statusUrl: null };
}

/** Replaces the placeholders by the order's values; the values themselves are never expanded. */
function renderCommand({ command, workingDirectory }: CommandSettings, order: TrainingOrder): CommandRequest {
  const values: Record<string, string> = {
    reason: order.reason,
    drift_score: String(order.driftScore ?? Number.NaN),
    buffer_size: String(order.bufferSize),
    decision_id: order.runId,
    model: order.model,
  };
  return {
    kind: "command",
    command: command.map((part) =>
      part.replaceAll(/\{(\w+)\}/g, (whole, name: string) => values[name] ?? whole),
    ),
    workingDirectory: resolve(workingDirectory),
  };
}

function diagnose({ command, workingDirectory }: CommandSettings): Finding {
  const program = command[0] ?? "";
  const directory = statSync(workingDirectory, { throwIfNoEntry: false });
  if (!directory?.isDirectory())
    return fault(
      `command: directory ${workingDirectory} does not exist`,
      "Correct TRAINER_COMMAND_DIRECTORY",
    );
  if (program.includes("/") ? isExecutable(resolve(workingDirectory, program)) : findProgram([program]))
    return ok(`command: found ${program}`);
  return fault(`command: program ${program} not found`, "Install it, or correct TRAINER_COMMAND");
}
