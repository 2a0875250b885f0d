import { describeCondition } from "../describe-condition.ts";
import { PermanentError } from "../errors.ts";
import { formatCount } from "../format.ts";
import { CHECKS, type Policy } from "../policy.ts";
import { createBufferPast } from "./buffer-past.ts";
import type { BacktestInput, Cadence } from "./input.ts";
import { measure, type Measures } from "./measure.ts";
import type { Past, PastDecision } from "./past.ts";
import { createReplay, type Evaluation, type Firing, type Replay } from "./replay.ts";
import { createReproduction, type Reproduction } from "./reproduction.ts";
import { listUnknowns, type Unknown } from "./unknowns.ts";

/** A firing of one policy that the other does not share. */
export interface Difference extends Pick<Firing, "at" | "why"> {
  /** The checks that kept the other policy from firing then, by their names in the policy; empty if it decided at another time. */
  checks: readonly string[];
  /** The same in a few words. */
  because: string;
  /** When the other policy fired for the same alerts; null if it never did. */
  otherAt: number | null;
}

export interface ReplayedPolicy {
  /** On one line. */
  policy: string;
  firings: readonly Firing[];
  measures: Measures;
}

export interface Backtest {
  from: number;
  to: number;
  /** Since when anything is known of the model. */
  knownFrom: number;
  inForce: ReplayedPolicy;
  candidate: ReplayedPolicy | null;
  gained: readonly Difference[];
  lost: readonly Difference[];
  /** Null if nothing was recorded, or decisions were simulated at other times. */
  reproduction: Reproduction | null;
  unknowns: readonly Unknown[];
}

const DAY_MS = 86_400_000;
const EVALUATIONS_A_STEP = 50;
const MOST_EVALUATIONS = 1_000_000;

/** A decision that is due is made a little later, so a recorded one that follows so soon is the same. */
const DELAY_MS = 10 * 60_000;

/**
 * Replays the policy in force and a candidate over the same past, in steps, each of some milliseconds, that say which share of
 * the period has passed. Pure.
 */
export function* replayInSteps(input: BacktestInput): Generator<number, Backtest> {
  const { past, inForce, candidate, settings } = input;
  const buffer = createBufferPast(past, settings);
  const own = createReplay(past, inForce, buffer, settings);
  const other = candidate && createReplay(past, candidate, buffer, settings);
  const lost: Difference[] = [];
  const gained: Difference[] = [];
  const reproduction = createReproduction(input.policyHash);

  let count = 0;
  for (const { at, recorded, isPlanned } of listTimes(input, [own, ...(other ? [other] : [])])) {
    count += 1;
    if (count % EVALUATIONS_A_STEP === 0) yield (at - past.from) / (past.to - past.from);
    own.moveTo(at);
    other?.moveTo(at);
    const decides = (replay: Replay): boolean =>
      replay.isDue() || (isPlanned && (recorded !== null || replay.isStale()));
    const hasActed = own.firings.length + own.assumedApprovals() > 0;
    const ownEvaluation = decides(own) ? own.decide(recorded) : null;
    if (recorded !== null && ownEvaluation !== null) reproduction.add(recorded, ownEvaluation, hasActed);
    if (!other) continue;
    const otherEvaluation = decides(other) ? other.decide(recorded) : null;
    const [ownFired, otherFired] = [isTrigger(ownEvaluation), isTrigger(otherEvaluation)];
    if (otherFired && !ownFired)
      gained.push(describe(otherEvaluation as Evaluation, ownEvaluation ?? own.peek()));
    if (ownFired && !otherFired)
      lost.push(describe(ownEvaluation as Evaluation, otherEvaluation ?? other.peek()));
  }

  const earlier = past.trainings
    .filter(({ decidedAt, result }) => decidedAt < past.from && result !== "refused" && result !== "failed")
    .map(({ requestedAt }) => requestedAt);
  const knownFrom = findKnownFrom(past, [...own.firings, ...(other?.firings ?? [])]);
  const summarize = (policy: Policy, replay: Replay): ReplayedPolicy => ({
    policy: describeCondition(policy),
    firings: replay.firings,
    measures: measure(past, replay.firings, { earlier, knownFrom }),
  });
  return {
    from: past.from,
    to: past.to,
    knownFrom,
    inForce: summarize(inForce, own),
    candidate: candidate && other && summarize(candidate, other),
    gained: withCounterparts(gained, other, own),
    lost: withCounterparts(lost, own, other),
    reproduction: input.cadence === "recorded" ? reproduction.result() : null,
    unknowns: listUnknowns(input, buffer, own.assumedApprovals() + (other?.assumedApprovals() ?? 0)),
  };
}

function isTrigger(evaluation: Evaluation | null): boolean {
  return evaluation?.judgement.decision === "trigger";
}

/** A planned time, or one at which a policy decides by itself. */
interface EvaluationTime {
  at: number;
  recorded: PastDecision | null;
  isPlanned: boolean;
}

/** The times at which anything is decided, in order. What is due is asked anew each time. */
function* listTimes(
  { past, cadence }: Pick<BacktestInput, "past" | "cadence">,
  replays: readonly Replay[],
): Generator<EvaluationTime> {
  const plan = planTimes(past, cadence);
  let [next, count] = [0, 0];
  for (;;) {
    const { at: plannedAt, recorded } = plan(next);
    const due = Math.min(...replays.map((replay) => replay.dueAt()));
    const follows = recorded !== null && plannedAt >= due && plannedAt <= due + DELAY_MS;
    const at = follows ? plannedAt : Math.min(plannedAt, due);
    if (at > past.to) return;
    const isPlanned = at === plannedAt;
    if (isPlanned) next += 1;
    count += 1;
    if (count > MOST_EVALUATIONS)
      throw new PermanentError(
        "TOO_MUCH_HISTORY",
        `The replay would take more than ${formatCount(MOST_EVALUATIONS)} steps: choose a longer --every or a shorter --since`,
      );
    yield { at, recorded: isPlanned ? recorded : null, isPlanned };
  }
}

type Plan = (index: number) => Pick<EvaluationTime, "at" | "recorded">;

/** Before the first recorded decision, policies decide daily. */
function planTimes(past: Past, cadence: Cadence): Plan {
  const { from, to } = past;
  if (typeof cadence === "object") return (index) => ({ at: from + index * cadence.everyMs, recorded: null });
  const recorded = past.decisions.filter(({ at }) => at >= from && at <= to);
  const firstAt = recorded[0]?.at ?? to;
  const daily = Array.from(
    { length: Math.ceil((firstAt - from) / DAY_MS) - 1 },
    (_, day) => from + (day + 1) * DAY_MS,
  );
  const plan =
    cadence === "recorded"
      ? [
          ...daily.map((at) => ({ at, recorded: null })),
          ...recorded.map((own) => ({ at: own.at, recorded: own })),
        ]
      : [from, ...past.events.filter((at) => at > from)].map((at) => ({ at, recorded: null }));
  return (index) => plan[index] ?? { at: Number.POSITIVE_INFINITY, recorded: null };
}

/** Since when anything is known: a check, a decision, an event, a row, or what a policy made of them. */
function findKnownFrom(
  { from, to, checks, decisions, events, arrivals }: Past,
  firings: readonly Firing[],
): number {
  const firsts = [
    ...checks.map(({ at }) => at),
    ...decisions.map(({ at }) => at),
    ...events,
    // Rows without a time have been there all the while.
    ...arrivals.map(({ at }) => at ?? from),
    ...firings.map(({ at }) => at),
  ];
  if (firsts.length === 0) return from;
  const first = firsts.reduce((earliest, at) => Math.min(earliest, at), to);
  return Math.max(from, first);
}

/** Says what kept a policy from firing when the other one did. */
function describe(fired: Evaluation, held: Evaluation): Difference {
  const { failed } = held.judgement;
  return {
    at: fired.at,
    why: fired.why(),
    checks: failed.map(nameCheck),
    because: isTrigger(held) ? "it was not evaluated at that time" : held.why(),
    otherAt: null,
  };
}

const CHECK_NAMES: ReadonlyMap<string, string> = new Map(CHECKS.map(({ reason, key }) => [reason, key]));

/** The name of a check in the policy, by its reason code. */
function nameCheck(code: string): string {
  return CHECK_NAMES.get(code) ?? code;
}

function withCounterparts(
  differences: readonly Difference[],
  fired: Replay | null,
  other: Replay | null,
): Difference[] {
  return differences.map((difference) => {
    const own = new Set(fired?.firings.find(({ at }) => at === difference.at)?.alerts);
    const match = other?.firings.find(({ alerts }) => alerts.some((alert) => own.has(alert)));
    return { ...difference, otherAt: match?.at ?? null };
  });
}
