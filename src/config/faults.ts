import type { z } from "zod";
import type { Setting } from "../core/setting.ts";
import { TRAINERS } from "../trainers/registry.ts";
import { SETTING_NAMES } from "./settings.ts";

/** The settings that are set, as written, by variable. */
type Given = Readonly<Record<string, string | undefined>>;

/** Finds the missing settings of the configured trainer, and the faults that the trainer itself reports. */
export function findTrainerFaults(given: Given): string[] {
  const trainer = TRAINERS.find(({ name }) => name === given["TRAINER"]);
  if (!trainer) return [];
  const missing = Object.values(trainer.settings).flatMap(({ variable, required }: Setting) =>
    required === undefined || given[variable] !== undefined
      ? []
      : [`${variable} is not set: TRAINER=${trainer.name} needs ${required}`],
  );
  return [...missing, ...(trainer.findFaults?.(given) ?? [])];
}

/** A training that is polled too rarely would count as lost while it runs, and another one would start. */
export function findContradictions({
  pollSeconds,
  lostAfterSeconds,
}: {
  pollSeconds: number;
  lostAfterSeconds: number;
}): string[] {
  return lostAfterSeconds >= MIN_POLLS * pollSeconds
    ? []
    : [
        `TRAINING_LOST_AFTER_SECONDS is ${lostAfterSeconds}: it must be at least ${MIN_POLLS * pollSeconds}, four times TRAINING_POLL_SECONDS (${pollSeconds})`,
      ];
}

/** Polls before a training counts as lost: a sign of life is recorded up to four times within that limit. */
const MIN_POLLS = 4;

/** A fault found by a schema, with the variable's name and, unless it may hold a secret, its value. */
export function describeFault({ variable, secret }: Setting, issue: z.core.$ZodIssue, value: string): string {
  const shown = secret === undefined ? ` is "${value}":` : "";
  const message =
    issue.code === "invalid_value" ? `must be one of ${issue.values.join(", ")}` : issue.message;
  return `${variable}${shown} ${issue.message.startsWith("must") ? issue.message : message}`;
}

/** Finds unknown variables that are one typo away from a setting that is not set, or start with RETRIGGER_. */
export function findUnknownSettings(env: Readonly<Record<string, string | undefined>>): string[] {
  return Object.keys(env)
    .filter((name) => !SETTING_NAMES.includes(name))
    .flatMap((name) => {
      const meant = SETTING_NAMES.find(
        (known) => known.length >= 8 && env[known] === undefined && isOneTypoApart(name, known),
      );
      if (meant) return [`${name} is not a setting: did you mean ${meant}?`];
      // Kubernetes sets these variables in every pod if there is a service named retrigger.
      const isFromKubernetes = /^RETRIGGER_(SERVICE|PORT)(_|$)/.test(name);
      return name.startsWith("RETRIGGER_") && !isFromKubernetes
        ? [`${name} is not a setting: see docs/settings.md`]
        : [];
    });
}

/** Whether one letter was added, omitted, changed, or swapped with its neighbour. */
function isOneTypoApart(a: string, b: string): boolean {
  if (Math.abs(a.length - b.length) > 1) return false;
  let start = 0;
  while (start < a.length && a[start] === b[start]) start += 1;
  let end = 0;
  while (end < Math.min(a.length, b.length) - start && a.at(-1 - end) === b.at(-1 - end)) end += 1;
  const restA = a.slice(start, a.length - end);
  const restB = b.slice(start, b.length - end);
  return (
    Math.max(restA.length, restB.length) <= 1 ||
    (restA.length === 2 && restA === restB.charAt(1) + restB.charAt(0))
  );
}
