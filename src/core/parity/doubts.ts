import { formatCount, formatInstant } from "../format.ts";
import type { DagRow } from "./rows.ts";

/** How far a clock may be ahead of the database's. */
const TOLERANCE_MS = 60_000;

/** Says which rows of the DAG have times that cannot be right, because pairs depend on them. @param dag In the order of their ids. */
export function findDoubts(dag: readonly DagRow[], { now }: { now: string }): string[] {
  return [describeBackwards(dag), describeFuture(dag, now)].filter((doubt) => doubt !== null);
}

function describeBackwards(dag: readonly DagRow[]): string | null {
  const dated = dag.filter((row): row is DagRow & { at: string } => row.at !== null);
  let newest = dated[0];
  const backwards = dated.filter((row) => {
    const isBackwards = newest !== undefined && Date.parse(row.at) < Date.parse(newest.at);
    if (!isBackwards) newest = row;
    return isBackwards;
  });
  const [first] = backwards;
  if (first === undefined) return null;
  return `${formatCount(backwards.length)} row(s) of the DAG are dated before the row written before them, the first of them row ${first.id} (${formatInstant(first.at)}): its clock went backwards, or its session had another time zone than SOURCE_TIME_ZONE. Pairs with these rows may be wrong.`;
}

function describeFuture(dag: readonly DagRow[], now: string): string | null {
  const limit = Date.parse(now) + TOLERANCE_MS;
  const future = dag.filter(({ at }) => at !== null && Date.parse(at) > limit);
  const [first] = future;
  if (first === undefined) return null;
  return `${formatCount(future.length)} row(s) of the DAG are dated in the future, the first of them row ${first.id} (${formatInstant(first.at ?? now)}): compare SOURCE_TIME_ZONE with the zone of the DAG's session.`;
}
