import { bisect } from "../bisect.ts";
import { type DagRow, type OwnDecision } from "./rows.ts";
import { stateAt, type Timeline } from "./timeline.ts";

/** A row of the DAG, dated. */
export type DatedRow = DagRow & { at: string };

export interface Pair {
  dag: DatedRow;
  own: OwnDecision;
}

export interface Pairing {
  pairs: Pair[];
  dagOnly: DatedRow[];
  ownOnly: OwnDecision[];
}

/**
 * Pairs each row of the DAG with the decision nearest in time among those on the same state: no drift check came between the two.
 * Several rows may be compared with one decision, because the DAG may run more often.
 *
 * @param own Any order.
 */
export function pairDecisions(
  dag: readonly DatedRow[],
  own: readonly OwnDecision[],
  timeline: Timeline,
): Pairing {
  const byState = groupByState(own, timeline);
  const used = new Set<number>();
  const pairs: Pair[] = [];
  const dagOnly: DatedRow[] = [];
  for (const row of dag) {
    const time = Date.parse(row.at);
    const nearest = findNearest(byState.get(stateAt(timeline, time)) ?? [], time);
    if (nearest === null) dagOnly.push(row);
    else {
      used.add(nearest.id);
      pairs.push({ dag: row, own: nearest });
    }
  }
  return { pairs, dagOnly, ownOnly: own.filter(({ id }) => !used.has(id)) };
}

function groupByState(own: readonly OwnDecision[], timeline: Timeline): Map<number, OwnDecision[]> {
  const groups = new Map<number, OwnDecision[]>();
  for (const decision of own.toSorted((a, b) => Date.parse(a.at) - Date.parse(b.at))) {
    const state = stateAt(timeline, Date.parse(decision.at));
    const group = groups.get(state);
    if (group) group.push(decision);
    else groups.set(state, [decision]);
  }
  return groups;
}

/** @param decisions The oldest first. */
function findNearest(decisions: readonly OwnDecision[], time: number): OwnDecision | null {
  const earlier = bisect(decisions, ({ at }) => Date.parse(at) < time);
  const [before = null, after = null] = [decisions[earlier - 1], decisions[earlier]];
  if (before === null || after === null) return before ?? after;
  return time - Date.parse(before.at) <= Date.parse(after.at) - time ? before : after;
}
