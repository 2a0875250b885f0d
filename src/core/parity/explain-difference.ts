import { toMs } from "../duration.ts";
import { formatCount } from "../format.ts";
import { recentDriftChecks } from "../criteria/recent-drift-checks.ts";
import { CRITERIA } from "../criteria/registry.ts";
import { GUARDS } from "../guards/registry.ts";
import type { Pair } from "./pair.ts";
import { actionOf, alertsInNotes, DAG, type OwnDecision } from "./rows.ts";
import type { Timeline } from "./timeline.ts";

/** Why the DAG and Retrigger differ. Programs branch on the code. */
export const PARITY_CODES = {
  already_acted_on: "the DAG fires again on an alert that a training was requested for",
  counted_at_another_moment: "both counted the same thing, at another moment",
  held_by_guard: "a guard of Retrigger held the training back",
  other_threshold: "the policy is not the DAG's",
  unexplained: "none of these",
  dag_crashed_without_checks: "without a recent drift check the DAG crashes and writes no row",
  no_run_of_the_dag: "the DAG did not run on this state, or another row of ours was nearer",
  no_decision_of_ours: "Retrigger did not decide on this state",
  unreadable: "the row has no date, or a decision that the DAG does not write",
} as const;
export type ParityCode = keyof typeof PARITY_CODES;

export interface Explained {
  code: ParityCode;
  detail: string;
}

const GUARD_CODES: ReadonlySet<string> = new Set(GUARDS.map(({ reason }) => reason));
/** What the DAG decides by. */
const SHARED_CODES: ReadonlySet<string> = new Set(
  CRITERIA.filter(({ key }) => ["recentDriftChecks", "driftAlerts", "bufferSize"].includes(key)).map(
    ({ reason }) => reason,
  ),
);

/** Explains why one of a pair triggers and the other does not. */
export function explainDifference(pair: Pair, timeline: Timeline): Explained {
  return actionOf(pair.dag.decision) === "trigger"
    ? explainOurNoAction(pair, timeline)
    : explainOurTrigger(pair, timeline);
}

function explainOurNoAction(pair: Pair, timeline: Timeline): Explained {
  const { own } = pair;
  const guards = own.codes.filter((code) => GUARD_CODES.has(code));
  if (guards.length > 0) return { code: "held_by_guard", detail: guards.join(", ") };
  const others = own.codes.filter((code) => !SHARED_CODES.has(code));
  if (others.length > 0) return { code: "other_threshold", detail: `not in the DAG: ${others.join(", ")}` };
  return (
    explainBuffer(pair) ??
    explainWindow(pair, timeline) ??
    explainAlerts(own) ?? {
      code: "unexplained",
      detail: `ours is ${own.codes.join(", ")}: do both read the same tables?`,
    }
  );
}

function explainOurTrigger(pair: Pair, timeline: Timeline): Explained {
  const { dag, own } = pair;
  const alerts = alertsInNotes(dag.notes);
  const isByDrift = own.triggered > 0;
  if (!isByDrift)
    return { code: "other_threshold", detail: `not in the DAG: ${own.codes.join(", ") || "this policy"}` };
  return (
    explainBuffer(pair) ??
    explainWindow(pair, timeline) ?? {
      code: "unexplained",
      detail: alerts === 0 ? "the DAG saw no alert: do both read the same table?" : "the DAG did not trigger",
    }
  );
}

/** The two buffers, if one was large enough and the other was not. */
function explainBuffer({ dag, own }: Pair): Explained | null {
  const ours = own.bufferSize;
  const theirs = dag.bufferSize;
  if (ours === null || theirs === null) return null;
  const required = own.required.bufferSize ?? 0;
  const hasTriggered = actionOf(own.decision) === "trigger";
  if (theirs >= DAG.bufferSize === hasTriggered || ours >= required !== hasTriggered) return null;
  const isSameAtTheirs = theirs >= required === ours >= required;
  if (isSameAtTheirs)
    return {
      code: "other_threshold",
      detail: `buffer: ${formatCount(required)} required, ${formatCount(DAG.bufferSize)} in the DAG`,
    };
  return {
    code: "counted_at_another_moment",
    detail: `DAG ${formatCount(theirs)}, Retrigger ${formatCount(ours)}, required ${formatCount(required)}`,
  };
}

/** What only the side that triggered had in its window: the other side looked earlier or later, or does not look as far back. */
function explainWindow({ dag, own }: Pair, { alerts, checkTimes }: Timeline): Explained | null {
  const times = own.codes.includes(recentDriftChecks.reason) ? checkTimes : alerts.map(({ time }) => time);
  const seesAny = (at: string, reachMs: number): boolean => {
    const now = Date.parse(at);
    return times.some((time) => time <= now && time > now - reachMs);
  };
  const hasTriggered = actionOf(own.decision) === "trigger";
  const isSplit = (reachMs: number): boolean =>
    seesAny(own.at, reachMs) === hasTriggered && seesAny(dag.at, DAG.windowMs) !== hasTriggered;
  if (isSplit(DAG.windowMs))
    return { code: "counted_at_another_moment", detail: "a check entered or left the window in between" };
  return own.window !== null && isSplit(toMs(own.window))
    ? { code: "other_threshold", detail: `window: ${own.window} here, 7d in the DAG` }
    : null;
}

function explainAlerts({ triggered, required }: OwnDecision): Explained | null {
  const alerts = required.alerts ?? DAG.alerts;
  if (triggered < DAG.alerts || triggered >= alerts) return null;
  return {
    code: "other_threshold",
    detail: `alerts: ${formatCount(alerts)} required, ${formatCount(DAG.alerts)} in the DAG`,
  };
}
