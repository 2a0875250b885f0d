import { describeSpan } from "../duration.ts";
import { formatCount, formatQuantity, formatRatio } from "../format.ts";
import { wrapLine } from "../report/wrap.ts";
import { formatDays } from "./report.ts";
import type { Threshold } from "./thresholds.ts";
import type { Trial, Tuning } from "./tune.ts";

/** A tuning as lines of text: the policies that no other one beats, and the one in force. */
export function renderTuning({ from, to, varied, trials, unknowns }: Tuning, model: string): string[] {
  const head = `${"Trainings".padStart(9)} ${"a month".padStart(8)} ${"drift unanswered".padStart(17)} ${"brought nothing".padStart(16)}`;
  return [
    `Tuning of ${model} over ${describeSpan(to - from)}: ${formatQuantity(trials.length, "policy", "policies")} tried, nothing changed`,
    varied.length === 0
      ? "No threshold changes the result in this time."
      : `Varied: ${varied.map(describeThreshold).join(", ")}`,
    "",
    head,
    ...listShown(trials).flatMap((trial) => [renderRow(trial), `    ${describeTrial(trial)}`]),
    "",
    "Listed are the policies that no other one beats: fewer trainings only at the",
    "price of more time in which drift goes unanswered. To compare one of them with",
    "the policy in force:",
    `    npx retrigger backtest --model ${model} --policy FILE`,
    ...(unknowns.length === 0
      ? []
      : ["", "What a replay cannot know", ...unknowns.map(({ text }) => `  - ${text}`)]),
  ].flatMap(wrapLine);
}

/** The policies that no other one beats, and the one in force. */
export function listShown(trials: readonly Trial[]): Trial[] {
  return trials.filter(({ isOnFront, changes }) => isOnFront || changes.length === 0);
}

function renderRow({ measures, broughtNothing }: Trial): string {
  const { trainings, perMonth, unansweredDays } = measures;
  return [
    formatCount(trainings).padStart(9),
    formatRatio(perMonth).padStart(8),
    formatDays(unansweredDays).padStart(17),
    formatCount(broughtNothing).padStart(16),
  ].join(" ");
}

/** What sets a trial apart: "in force", or its thresholds. */
export function describeTrial({ changes, isOnFront }: Trial): string {
  if (changes.length === 0) return isOnFront ? "in force" : "in force (another one is better)";
  return changes.map(describeThreshold).join(", ");
}

function describeThreshold({ path, value }: Threshold): string {
  return `${path}: ${value}`;
}
