import { distance } from "fastest-levenshtein";
import type { z } from "zod";
import type { Fault } from "../core/fields.ts";
import { findNearest } from "../core/nearest.ts";
import type { Setting } from "../core/setting.ts";
import { TRAINERS } from "../trainers/registry.ts";
import type { Layer } from "./layer.ts";
import { SETTING_NAMES } from "./settings.ts";
import type { TrainerLayer } from "./trainer-section.ts";

/**
 * Finds the missing settings of the models' trainers, and the faults that the trainers themselves report. The path is empty
 * for a trainer that the environment names.
 *
 * @param readSettings Returns the settings of a trainer, the environment's included.
 * @param isGiven Whether a variable is set.
 */
export function findTrainerFaults(
  layers: Iterable<Pick<Layer, "trainer">>,
  readSettings: (trainer: TrainerLayer) => Readonly<Record<string, unknown>>,
  isGiven: (variable: string) => boolean,
): Fault[] {
  // Models without a trainer of their own share that of the defaults or of the environment.
  const trainers = new Set([...layers].map(({ trainer }) => trainer));
  return [...trainers].flatMap((trainer) => {
    const { name, own, place } = trainer;
    const definition = TRAINERS.find((known) => known.name === name);
    if (!definition) return [];
    const { settings } = definition;
    const words = {
      nameOf: (key: string) =>
        place !== null && Object.hasOwn(own, key) ? key : (settings[key]?.variable ?? key),
      trainer: place === null ? `TRAINER=${name}` : name,
    };
    const missing = Object.entries(settings).flatMap(([key, { variable, required }]) =>
      required === undefined || Object.hasOwn(own, key) || isGiven(variable)
        ? []
        : [
            `${place === null ? variable : `${key} (or ${variable})`} is not set: ${words.trainer} needs ${required}`,
          ],
    );
    const faults = [...missing, ...(definition.findFaults?.(readSettings(trainer), words) ?? [])];
    return faults.map((message) => ({ path: place ?? [], message }));
  });
}

/** A training that is polled too rarely would count as lost while it runs, and another one would start. */
export function findTimingFaults({
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
  return `${variable}${secret === undefined ? ` is "${value}":` : ""} ${issue.message}`;
}

/**
 * Finds unknown variables that are one typo away from a setting that is not set (in `.env` two, if they are long), or start with
 * RETRIGGER_.
 *
 * @param isOurs Whether a variable is known to be meant for this program: only `.env` sets it.
 */
export function findUnknownSettings(
  env: Readonly<Record<string, string | undefined>>,
  isOurs: (name: string) => boolean,
): string[] {
  return Object.keys(env)
    .filter((name) => !SETTING_NAMES.includes(name) && env[name]?.trim() !== "")
    .flatMap((name) => {
      const where = isOurs(name) ? `${name} in .env` : name;
      const shortest = isOurs(name) ? 4 : 8;
      const free = SETTING_NAMES.filter((known) => env[known] === undefined);
      const meant =
        free.find((known) => known.length >= shortest && isOneTypoApart(name, known)) ??
        free.find((known) => isOurs(name) && name.length >= 10 && distance(name, known) === 2);
      if (meant) return [`${where} is not a setting: did you mean ${meant}?`];
      // Kubernetes sets these variables in every pod if there is a service named retrigger.
      const isFromKubernetes = /^RETRIGGER_(SERVICE|PORT)(_|$)/.test(name);
      if (!name.startsWith("RETRIGGER_") || isFromKubernetes) return [];
      const near = findNearest(withoutPrefix(name), SETTING_NAMES.map(withoutPrefix));
      const meantNow = SETTING_NAMES.find((known) => near !== undefined && withoutPrefix(known) === near);
      return [
        `${where} is not a setting: ${meantNow === undefined ? "see docs/settings.md" : `did you mean ${meantNow}?`}`,
      ];
    });
}

function withoutPrefix(name: string): string {
  return name.replace(/^RETRIGGER_/, "");
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
