import { recentDriftChecks } from "../criteria/recent-drift-checks.ts";
import { explainDifference, type Explained, type ParityCode } from "./explain-difference.ts";
import { findDoubts } from "./doubts.ts";
import { type DatedRow, pairDecisions, type Pairing } from "./pair.ts";
import { findRepeats } from "./repeats.ts";
import { actionOf, type DagRow, type OwnDecision } from "./rows.ts";
import { buildTimeline, type Timeline } from "./timeline.ts";

/** A pair that differs, or a decision that has no counterpart. */
export interface Difference {
  code: ParityCode;
  detail: string;
  /** When the DAG decided, or if it did not, Retrigger; ISO 8601. */
  at: string | null;
  /** The ids of the two rows. */
  dagRow: number | null;
  decision: number | null;
}

export interface Parity {
  dagRows: number;
  decisions: number;
  /** How many rows of the DAG have a counterpart, and how many of these agree with it. */
  pairs: number;
  agreeing: number;
  /** The pairs that differ, in order of time. */
  differences: Difference[];
  /** Rows and decisions without a counterpart. */
  unpaired: Difference[];
  /** What makes the figures doubtful. */
  doubts: string[];
}

/**
 * Compares what the DAG decided with what Retrigger decided on the same states.
 *
 * @param dag In the order of their ids.
 * @param own Also those before the period, with which its first rows of the DAG are compared.
 */
export function compareWithDag(
  dag: readonly DagRow[],
  own: readonly OwnDecision[],
  { since, now }: { since: string; now: string },
): Parity {
  const timeline = buildTimeline(own);
  const readable = dag.filter((row): row is DatedRow => row.at !== null && actionOf(row.decision) !== null);
  const dated = readable.toSorted((a, b) => Date.parse(a.at) - Date.parse(b.at) || a.id - b.id);
  const isInPeriod = ({ at }: OwnDecision): boolean => Date.parse(at) >= Date.parse(since);
  const pairing = pairDecisions(dated, own, timeline);
  const differences = listDifferences(pairing, timeline);
  return {
    dagRows: dag.length,
    decisions: own.filter(isInPeriod).length,
    pairs: pairing.pairs.length,
    agreeing: pairing.pairs.length - differences.length,
    differences,
    unpaired: listUnpaired(dag, { ...pairing, ownOnly: pairing.ownOnly.filter(isInPeriod) }),
    doubts: findDoubts(dag, { now }),
  };
}

function listDifferences({ pairs }: Pairing, timeline: Timeline): Difference[] {
  const repeats = findRepeats(pairs, timeline);
  return pairs.flatMap((pair) => {
    const { dag, own } = pair;
    const isSame = actionOf(dag.decision) === actionOf(own.decision);
    const explained = repeats.get(pair) ?? (isSame ? null : explainDifference(pair, timeline));
    return explained === null ? [] : [{ ...explained, at: dag.at, dagRow: dag.id, decision: own.id }];
  });
}

function listUnpaired(dag: readonly DagRow[], { dagOnly, ownOnly }: Pairing): Difference[] {
  const unreadable = dag.flatMap(({ id, at, decision }) => {
    if (at !== null && actionOf(decision) !== null) return [];
    const detail = at === null ? "no decision_date" : `decision is ${JSON.stringify(decision)}`;
    return [{ code: "unreadable" as const, detail, at, dagRow: id, decision: null }];
  });
  return [
    ...unreadable,
    ...dagOnly.map(({ id, at, decision }) => ({
      code: "no_decision_of_ours" as const,
      detail: `the DAG: ${actionOf(decision)}`,
      at,
      dagRow: id,
      decision: null,
    })),
    ...ownOnly.map((own) => ({ ...explainMissingRow(own), at: own.at, dagRow: null, decision: own.id })),
  ];
}

function explainMissingRow({ codes, decision }: OwnDecision): Explained {
  if (codes.includes(recentDriftChecks.reason))
    return { code: "dag_crashed_without_checks", detail: "Retrigger: no_action" };
  return { code: "no_run_of_the_dag", detail: `Retrigger: ${actionOf(decision)}` };
}
