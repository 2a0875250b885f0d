import { PermanentError } from "../errors.ts";
import { formatCount } from "../format.ts";
import { CHECKS } from "../policy.ts";
import { createBufferPast } from "./buffer-past.ts";
import { type Fact, listUnknowns } from "./unknowns.ts";
import type { BacktestInput, Cadence } from "./input.ts";
import { measure, type Outcome } from "./measure.ts";
import type { Past, PastDecision } from "./past.ts";
import { createReplay, type Firing, type Look, type Replay } from "./replay.ts";

/** A firing of one policy that the other does not share. */
export interface Difference extends Pick<Firing, "at" | "why"> {
  /** The checks that kept the other policy from firing then, by their names in the policy; empty if it decided at another time. */
  checks: readonly string[];
  /** The same in a few words. */
  because: string;
  /** When the other policy fired for the same alerts; null if it never did. */
  otherAt: number | null;
}

/** How the replay of the policy in force compares with what was recorded. */
export interface Reproduction {
  /** Recorded decisions in the period, and how many of them the replay reached too. */
  recorded: number;
  reproduced: number;
  exceptions: readonly { id: number; at: number; recorded: string; replayed: string; because: string }[];
}

export interface ReplayedPolicy {
  firings: readonly Firing[];
  outcome: Outcome;
}

export interface Backtest {
  from: number;
  to: number;
  inForce: ReplayedPolicy;
  candidate: ReplayedPolicy | null;
  gained: readonly Difference[];
  lost: readonly Difference[];
  /** Null if nothing was recorded, or decisions were simulated at other times. */
  reproduction: Reproduction | null;
  unknowns: readonly Fact[];
}

const LOOKS_A_STEP = 50;
const MOST_LOOKS = 1_000_000;

/** A decision that is due is made a little later, so a recorded one that follows so soon is the same. */
const DELAY_MS = 10 * 60_000;

/** Replays the policy in force and a candidate over the same past. Pure. */
export function backtest(input: BacktestInput): Backtest {
  const steps = replayInSteps(input);
  for (;;) {
    const step = steps.next();
    if (step.done) return step.value;
  }
}

/** The same in steps, each of some milliseconds, that say which share of the period has passed. */
export function* replayInSteps(input: BacktestInput): Generator<number, Backtest> {
  const { past, inForce, candidate, settings } = input;
  const buffer = createBufferPast(past);
  const own = createReplay(past, inForce, buffer, settings);
  const other = candidate && createReplay(past, candidate, buffer, settings);
  const lost: Difference[] = [];
  const gained: Difference[] = [];
  const exceptions: Reproduction["exceptions"][number][] = [];
  let recordedCount = 0;
  const compare = createComparison(input, exceptions);

  let looks = 0;
  for (const { at, recorded, isPlanned } of listLooks(input, [own, ...(other ? [other] : [])])) {
    looks += 1;
    if (looks % LOOKS_A_STEP === 0) yield (at - past.from) / (past.to - past.from);
    own.moveTo(at);
    other?.moveTo(at);
    const decides = (replay: Replay): boolean =>
      replay.isDue() || (isPlanned && (recorded !== null || replay.isStale()));
    const ownLook = decides(own) ? own.decide(recorded) : null;
    if (recorded !== null && ownLook !== null) {
      recordedCount += 1;
      compare(recorded, ownLook);
    }
    if (!other) continue;
    const otherLook = decides(other) ? other.decide(recorded) : null;
    const [ownFired, otherFired] = [isTrigger(ownLook), isTrigger(otherLook)];
    if (otherFired && !ownFired) gained.push(describe(otherLook as Look, ownLook ?? own.peek()));
    if (ownFired && !otherFired) lost.push(describe(ownLook as Look, otherLook ?? other.peek()));
  }

  const earlier = past.trainings
    .filter(({ decidedAt, result }) => decidedAt < past.from && result !== "refused")
    .map(({ requestedAt }) => requestedAt);
  const summarize = (replay: Replay): ReplayedPolicy => ({
    firings: replay.firings,
    outcome: measure(past, replay.firings, earlier),
  });
  return {
    from: past.from,
    to: past.to,
    inForce: summarize(own),
    candidate: other && summarize(other),
    gained: withCounterparts(gained, other, own),
    lost: withCounterparts(lost, own, other),
    reproduction:
      input.cadence === "recorded" && recordedCount > 0
        ? { recorded: recordedCount, reproduced: recordedCount - exceptions.length, exceptions }
        : null,
    unknowns: listUnknowns(input, own.assumedApprovals() + (other?.assumedApprovals() ?? 0)),
  };
}

function isTrigger(look: Look | null): boolean {
  return look?.judgement.decision === "trigger";
}

/** A planned look, or one that a policy takes by itself. */
interface PlannedLook {
  at: number;
  recorded: PastDecision | null;
  isPlanned: boolean;
}

/** The times at which anything is decided, in order. What is due is asked anew each time. */
function* listLooks(
  { past, cadence }: Pick<BacktestInput, "past" | "cadence">,
  replays: readonly Replay[],
): Generator<PlannedLook> {
  const { from, to } = past;
  const decisions = past.decisions.filter(({ at }) => at >= from && at <= to);
  const planned = planLooks(past, cadence, decisions);
  let [next, looks] = [0, 0];
  for (;;) {
    const plannedAt = planned(next);
    const due = Math.min(...replays.map((replay) => replay.dueAt()));
    const follows = plannedAt >= due && plannedAt <= due + DELAY_MS && cadence === "recorded";
    const at = follows ? plannedAt : Math.min(plannedAt, due);
    if (at > to) return;
    const isPlanned = at === plannedAt;
    const recorded = isPlanned && cadence === "recorded" ? (decisions[next] ?? null) : null;
    if (isPlanned) next += 1;
    looks += 1;
    if (looks > MOST_LOOKS)
      throw new PermanentError(
        "TOO_MUCH_HISTORY",
        `The replay would take more than ${formatCount(MOST_LOOKS)} steps: choose a longer --every or a shorter --since`,
      );
    yield { at, recorded, isPlanned };
  }
}

function planLooks(
  past: Past,
  cadence: Cadence,
  decisions: readonly PastDecision[],
): (index: number) => number {
  const never = Number.POSITIVE_INFINITY;
  if (typeof cadence === "object") return (index) => past.from + index * cadence.everyMs;
  if (cadence === "recorded") return (index) => decisions[index]?.at ?? never;
  const events = [past.from, ...past.events.filter((at) => at > past.from)];
  return (index) => events[index] ?? never;
}

/** Says what kept a policy from firing when the other one did. */
function describe(fired: Look, held: Look): Difference {
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

/** Compares the replayed policy in force with recorded decisions; what follows from a difference is one, too. */
function createComparison(
  { policyHash }: Pick<BacktestInput, "policyHash">,
  exceptions: Reproduction["exceptions"][number][],
): (recorded: PastDecision, look: Look) => void {
  let firstAt: number | null = null;
  return (recorded, { at, judgement }) => {
    const [was, is] = [
      verdictOf(recorded.decision, recorded.codes),
      verdictOf(judgement.decision, codesOf(judgement)),
    ];
    if (was === is) return;
    const other = recorded.policyHash !== policyHash;
    const hasDiverged = firstAt !== null;
    if (recorded.decision !== judgement.decision) firstAt ??= at;
    const because = other
      ? "another policy was in force"
      : hasDiverged
        ? "it follows from an earlier difference"
        : "the sources have changed since";
    exceptions.push({ id: recorded.id, at, recorded: was, replayed: is, because });
  };
}

function verdictOf(decision: string, codes: readonly string[]): string {
  return `${decision} (${codes.join(", ")})`;
}

function codesOf({ failed, reason }: Look["judgement"]): readonly string[] {
  return failed.length > 0 ? failed : [reason];
}
