import type { z } from "zod";
import type { GitHubTarget } from "../trainers/github/request.ts";
import { SETTING_NAMES } from "./schema.ts";

/** Finds the settings that the chosen trainer requires and that are not set. */
export function findMissingForTrainer(given: Record<string, string | undefined>): string[] {
  const lacks = (name: string, what: string): string[] =>
    given[name] === undefined ? [`${name} is not set: TRAINER=${given["TRAINER"]} needs ${what}`] : [];
  switch (given["TRAINER"]) {
    case "github":
      return [
        ...(given["GITHUB_APP_ID"] === undefined && given["GITHUB_APP_PRIVATE_KEY"] === undefined
          ? lacks("GITHUB_TOKEN", "a token (or GITHUB_APP_ID and GITHUB_APP_PRIVATE_KEY)")
          : [
              ...lacks("GITHUB_APP_ID", "the App's id beside its key"),
              ...lacks("GITHUB_APP_PRIVATE_KEY", "the App's key beside its id"),
            ]),
        ...lacks("GITHUB_REPO_OWNER", "the owner of the repository"),
        ...lacks("GITHUB_REPO_NAME", "the name of the repository"),
      ];
    case "webhook":
      return [
        ...lacks("TRAINER_URL", "the URL that takes the request"),
        ...lacks("TRAINER_SECRET", "the secret that signs it"),
        ...findMissingOutcome(given),
      ];
    case "command":
      return lacks("TRAINER_COMMAND", 'the program to run, such as ["python","train.py"]');
    default:
      return [];
  }
}

/** Without a way to learn how a training ended, each would count as lost, and its alerts would train again and again. */
function findMissingOutcome(given: Record<string, string | undefined>): string[] {
  const outcome = given["TRAINER_OUTCOME"] ?? "callback";
  if (outcome !== "callback" || given["PUBLIC_URL"] !== undefined) return [];
  return [
    "PUBLIC_URL is not set: TRAINER=webhook needs a way to learn how a training ended. Set PUBLIC_URL, to which the receiver reports it; or TRAINER_OUTCOME=status_url if its answers name a status URL; or TRAINER_OUTCOME=accepted if an accepted request counts as done",
  ];
}

/** A training that is polled more seldom than it counts as lost would be lost while it runs, and another one started. */
export function findContradictions(settings: {
  TRAINING_POLL_SECONDS: number;
  TRAINING_LOST_AFTER_SECONDS: number;
}): string[] {
  const { TRAINING_POLL_SECONDS: poll, TRAINING_LOST_AFTER_SECONDS: lostAfter } = settings;
  return lostAfter >= LEAST_POLLS * poll
    ? []
    : [
        `TRAINING_LOST_AFTER_SECONDS is ${lostAfter}: it must be at least ${LEAST_POLLS * poll}, four times TRAINING_POLL_SECONDS (${poll})`,
      ];
}

/** Polls before a training counts as lost: its sign of life is written down four times within that limit. */
const LEAST_POLLS = 4;

/** GitHub's own limits: github.com takes 25 inputs, 65,535 characters in all. */
export function findFaultyInputs(model: string, { inputNames, extraInputs }: GitHubTarget): string[] {
  const names = [...Object.values(inputNames), ...Object.keys(extraInputs)];
  const twice = names.find((name, index) => names.indexOf(name) !== index);
  return [
    ...(twice
      ? [`GITHUB_INPUT_NAMES and GITHUB_EXTRA_INPUTS of ${model} name the input "${twice}" twice`]
      : []),
    ...(names.length > 25
      ? [`GITHUB_EXTRA_INPUTS of ${model} makes ${names.length} inputs, GitHub takes 25`]
      : []),
    ...(JSON.stringify(extraInputs).length > 60_000
      ? [`GITHUB_EXTRA_INPUTS of ${model} is too long: GitHub takes 65,535 characters in all`]
      : []),
  ];
}

/** A fault that the schema found, with the variable's name and, unless it is a secret, its value. */
export function describeIssue(issue: z.core.$ZodIssue, given: Record<string, string | undefined>): string {
  const name = String(issue.path[0]);
  // A connection string holds a password: its value is not repeated, nor that of a secret.
  const value = /URL|CONNECTION|TOKEN|SECRET|KEY|COMMAND$/.test(name) ? "" : ` is "${given[name]}":`;
  const message =
    issue.code === "invalid_value" ? `must be one of ${issue.values.join(", ")}` : issue.message;
  return `${name}${value} ${issue.message.startsWith("must") ? issue.message : message}`;
}

/** Finds variables that are one typo away from a setting that is not set, or that have our own prefix. */
export function findUnknownSettings(env: Readonly<Record<string, string | undefined>>): string[] {
  return Object.keys(env)
    .filter((name) => !SETTING_NAMES.includes(name))
    .flatMap((name) => {
      const meant = SETTING_NAMES.find(
        (known) => known.length >= 8 && env[known] === undefined && isOneSlipApart(name, known),
      );
      if (meant) return [`${name} is not a setting: did you mean ${meant}?`];
      // Kubernetes sets such variables in each pod for a service named retrigger.
      const isFromKubernetes = /^RETRIGGER_(SERVICE|PORT)(_|$)/.test(name);
      return name.startsWith("RETRIGGER_") && !isFromKubernetes
        ? [`${name} is not a setting: see the settings table in README.md`]
        : [];
    });
}

/** Whether one letter was added, left out, changed, or swapped with its neighbour. */
function isOneSlipApart(a: string, b: string): boolean {
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
