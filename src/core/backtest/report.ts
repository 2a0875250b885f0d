import { describeSpan, formatDuration } from "../duration.ts";
import { formatCount, formatInstant, formatRatio } from "../format.ts";
import { wrapLine } from "../report/wrap.ts";
import type { Backtest, Difference, ReplayedPolicy } from "./backtest.ts";
import type { Cadence } from "./input.ts";
import type { Firing } from "./replay.ts";
import type { Measures } from "./measure.ts";

const DAY_MS = 86_400_000;

/** The measures of a policy, each with its name and how it is written; what is unknown is null. */
export const MEASURES: readonly { label: string; of: (measures: Measures) => string | null }[] = [
  { label: "Trainings", of: ({ trainings }) => formatCount(trainings) },
  { label: "Trainings a month", of: ({ perMonth }) => formatRatio(perMonth) },
  { label: "Drift without a training", of: ({ unansweredDays }) => formatDays(unansweredDays) },
  {
    label: "Rows wait, on average",
    of: ({ meanWaitDays }) => (meanWaitDays === null ? null : formatDays(meanWaitDays)),
  },
  {
    label: "Hours of training",
    of: ({ trainingHours }) => (trainingHours === null ? null : formatRatio(trainingHours)),
  },
];

/** 2.015 -> "2.0 days", 0.153 -> "3.7 hours". */
export function formatDays(days: number): string {
  return days >= 1 || days === 0 ? `${days.toFixed(1)} days` : `${(days * 24).toFixed(1)} hours`;
}

/** Says when policies decided in a replay. */
export function describeCadence(cadence: Cadence): string {
  if (typeof cadence === "object") return `every ${formatDuration(cadence.everyMs)}`;
  return cadence === "recorded" ? "at the recorded decisions" : "at the events of drift runs";
}

/** How much of the period has data, if not all of it has. */
export function describeKnown({ from, to, knownFrom }: Pick<Backtest, "from" | "to" | "knownFrom">): string {
  return knownFrom - from < DAY_MS
    ? ""
    : `; there is data for the last ${describeSpan(to - knownFrom)} of ${describeSpan(to - from)}`;
}

/** A backtest as lines of text, 80 columns wide. */
export function renderBacktest(
  result: Backtest,
  { model, cadence }: { model: string; cadence: Cadence },
): string[] {
  const { from, to, inForce, candidate, gained, lost, reproduction, unknowns } = result;
  const lines = [
    `Backtest of ${model}: ${describeSpan(to - from)} until ${formatInstant(Math.floor(to / 1000) * 1000)}`,
    `Policies decided ${describeCadence(cadence)}${describeKnown(result)}`,
    "",
    `In force: ${inForce.policy}`,
    ...(candidate === null ? [] : [`Candidate: ${candidate.policy}`]),
    "",
    ...renderMeasures(inForce, candidate),
    "",
    ...renderFirings("Trainings of the policy in force", inForce),
    ...(candidate === null
      ? []
      : [
          ...renderFirings("Trainings of the candidate", candidate),
          ...renderDifferences("Gained by the candidate", gained, "the policy in force"),
          ...renderDifferences("Lost by the candidate", lost, "the candidate"),
        ]),
    ...(reproduction === null
      ? []
      : [
          `Reproduced: ${reproduction.reproduced} of ${reproduction.recorded} recorded decisions`,
          ...reproduction.exceptions
            .slice(0, SHOWN)
            .map((one) => `  #${one.id} recorded ${one.recorded}, replayed ${one.replayed}: ${one.because}`),
          ...more(reproduction.exceptions.length),
          "",
        ]),
    ...(unknowns.length === 0
      ? []
      : ["What a replay cannot know", ...unknowns.map(({ text }) => `  - ${text}`)]),
  ];
  return lines.flatMap(wrapLine);
}

/** So many entries of a list are printed; --json has all. */
const SHOWN = 20;

function more(count: number): string[] {
  return count > SHOWN ? [`  ... and ${formatCount(count - SHOWN)} more (--json has all)`] : [];
}

function renderMeasures(inForce: ReplayedPolicy, candidate: ReplayedPolicy | null): string[] {
  const row = (label: string, values: readonly string[]): string =>
    `${label.padEnd(26)}${values.map((value) => value.padStart(14)).join("")}`;
  const policies = [inForce, ...(candidate ? [candidate] : [])];
  return [
    row("", ["in force", ...(candidate ? ["candidate"] : [])]),
    ...MEASURES.map(({ label, of }) =>
      row(
        label,
        policies.map(({ measures }) => of(measures) ?? "unknown"),
      ),
    ),
  ];
}

function renderFirings(title: string, { firings }: ReplayedPolicy): string[] {
  const shown = firings.slice(-SHOWN);
  return [
    `${title}: ${firings.length === 0 ? "none" : ""}`.trimEnd(),
    ...more(firings.length),
    ...shown.map((firing) => `  ${formatInstant(firing.at)}  ${firing.why}${describeTraining(firing)}`),
    "",
  ];
}

/** Which recorded training it is, and how it went unless it succeeded. */
function describeTraining({ recordedId, result }: Firing): string {
  return recordedId === null ? "" : ` (#${recordedId}${WENT[result]})`;
}

/** How a training went, as an addition to its name. */
export const WENT: Readonly<Record<Firing["result"], string>> = {
  succeeded: "",
  failed: ", which failed",
  open: ", still under way",
  refused: ", which was refused",
};

function renderDifferences(title: string, differences: readonly Difference[], other: string): string[] {
  return [
    `${title}: ${differences.length === 0 ? "none" : ""}`.trimEnd(),
    ...differences
      .slice(0, SHOWN)
      .flatMap((difference) => [
        `  ${formatInstant(difference.at)}  ${difference.why}`,
        `    ${other} did not: ${describeReason(difference)}`,
      ]),
    ...more(differences.length),
    "",
  ];
}

/** Why the other policy did not fire, with the check and when it did. */
export function describeReason({ because, checks, otherAt, at }: Difference): string {
  const names = checks.length === 0 ? "" : ` [${checks.join(", ")}]`;
  const when =
    otherAt === null
      ? ""
      : `; it ${otherAt < at ? "had trained" : "trained"} for this drift on ${formatInstant(otherAt)}`;
  return `${because}${names}${when}`;
}
