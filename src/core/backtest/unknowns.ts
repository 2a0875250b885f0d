import { listCriteria } from "../condition.ts";
import { toMs } from "../duration.ts";
import { formatCount, formatInstant } from "../format.ts";
import { needsOf, settingsOf } from "../policy.ts";
import { approval } from "../guards/approval.ts";
import type { BacktestInput } from "./input.ts";
import type { BufferPast } from "./buffer-past.ts";

/** Something that a replay cannot know, or had to assume. */
export interface Unknown {
  code:
    | "checks_begin_late"
    | "decisions_begin_late"
    | "no_events"
    | "rows_deleted"
    | "arrival_unknown"
    | "duration_unknown"
    | "approvals_assumed"
    | "clock_backwards"
    | "duplicate_checks"
    | "arrival_rounded";
  text: string;
}

const DAY_MS = 86_400_000;

/** What the replay cannot know, in the order of how much it may change the result. */
export function listUnknowns(input: BacktestInput, buffer: BufferPast, assumedApprovals: number): Unknown[] {
  return [
    ...aboutChecks(input),
    ...aboutBuffer(input, buffer),
    ...aboutTrainings(input),
    ...(assumedApprovals > 0 || hasUnrecordedApproval(input)
      ? [
          entry(
            "approvals_assumed",
            `${formatCount(assumedApprovals)} approvals had to be assumed: granted after the median delay.`,
          ),
        ]
      : []),
  ];
}

const entry = (code: Unknown["code"], text: string): Unknown => ({ code, text });

function hasUnrecordedApproval({ candidate, past }: BacktestInput): boolean {
  return candidate !== null && settingsOf(candidate, approval) !== null && past.approvals.length === 0;
}

function aboutChecks({ past, inForce, candidate, cadence }: BacktestInput): Unknown[] {
  const { checks, from, events } = past;
  const reaches = [inForce, ...(candidate ? [candidate] : [])].map((policy) => toMs(needsOf(policy).reach));
  const start = from - Math.max(...reaches);
  const oldestAt = checks.reduce((oldest, { at }) => Math.min(oldest, at), Number.POSITIVE_INFINITY);
  const unknowns: Unknown[] = [];
  if (checks.length > 0 && oldestAt > start + DAY_MS)
    unknowns.push(
      entry(
        "checks_begin_late",
        `The checks begin on ${formatInstant(oldestAt)}: before that, windows are empty or not full.`,
      ),
    );
  const names = new Set<string>();
  const duplicates = checks.filter(({ names: [name = ""] }) => names.size === names.add(name).size).length;
  if (duplicates > 0)
    unknowns.push(
      entry(
        "duplicate_checks",
        `${formatCount(duplicates)} checks are there more than once; each counts, as in a decision.`,
      ),
    );
  const backwards = countBackwards(
    checks.map(({ names: [name = ""], at }) => ({ id: Number.parseInt(name, 10), at })),
  );
  if (backwards > 0)
    unknowns.push(
      entry(
        "clock_backwards",
        `${formatCount(backwards)} checks are dated before one with a lower id: the source's clock went backwards, or they came late. They count by their dates.`,
      ),
    );
  const firstDecision = past.decisions.find(({ at }) => at >= from);
  if (
    cadence === "recorded" &&
    firstDecision &&
    firstDecision.at > from + DAY_MS &&
    checks.some(({ at }) => at >= from && at < firstDecision.at - DAY_MS)
  )
    unknowns.push(
      entry(
        "decisions_begin_late",
        `Decisions are on record from ${formatInstant(firstDecision.at)} on; before that, policies were replayed daily.`,
      ),
    );
  if (cadence === "events" && !events.some((at) => at >= from))
    unknowns.push(
      entry("no_events", "No event is on record in this time, so nothing was evaluated at events."),
    );
  return unknowns;
}

/** How many of some items, by ascending id, are dated more than a minute before an earlier one. */
function countBackwards(items: readonly { id: number; at: number }[]): number {
  let newest = Number.NEGATIVE_INFINITY;
  let count = 0;
  for (const { at } of items.filter(({ id }) => Number.isInteger(id)).toSorted((a, b) => a.id - b.id)) {
    if (at < newest - 60_000) count += 1;
    newest = Math.max(newest, at);
  }
  return count;
}

function aboutBuffer({ past, inForce, candidate }: BacktestInput, counted: BufferPast): Unknown[] {
  const policies = [inForce, ...(candidate ? [candidate] : [])];
  const measuresBuffer = policies.some(({ when }) =>
    listCriteria(when).some(({ criterion }) => criterion.measuresBuffer),
  );
  if (!measuresBuffer) return [];
  const { arrivals, arrivalStepMs, buffer, from } = past;
  const unknowns: Unknown[] = [];
  const untimed = arrivals.filter(({ at }) => at === null).reduce((sum, { rows }) => sum + rows, 0);
  if (untimed > 0)
    unknowns.push(
      entry(
        "arrival_unknown",
        `When ${formatCount(untimed)} ${buffer.unit} arrived is unknown, so they count from the beginning.`,
      ),
    );
  if (arrivalStepMs > 1)
    unknowns.push(
      entry(
        "arrival_rounded",
        `Times of arrival are rounded up to the ${arrivalStepMs > 60_000 ? "hour" : "minute"}: there are too many.`,
      ),
    );
  const missing = counted.missing.filter(({ at, rows }) => at >= from && rows > 0);
  if (missing.length > 0)
    unknowns.push(
      entry(
        "rows_deleted",
        `${formatCount(missing.length)} decisions saw more ${buffer.unit} than are left: rows were deleted since. The recorded sizes are used; with other trainings they would have been deleted at other times.`,
      ),
    );
  return unknowns;
}

function aboutTrainings({ settings: { isMock, usualSeconds } }: BacktestInput): Unknown[] {
  return isMock || usualSeconds !== null
    ? []
    : [
        entry(
          "duration_unknown",
          "No training has ended yet, so how long one takes is unknown; trainings are assumed to end immediately.",
        ),
      ];
}
