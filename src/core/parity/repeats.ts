import { alreadyActedOn } from "../guards/already-acted-on.ts";
import type { Explained } from "./explain-difference.ts";
import type { Pair } from "./pair.ts";
import { actionOf, nameAlert } from "./rows.ts";
import { newestAlertAt, type Timeline } from "./timeline.ts";

/**
 * The pairs in which the DAG fired once more on an alert, although one training was requested for it: of several triggers of the
 * DAG that are compared with one trigger of ours, the first agrees with it, and the others repeat it.
 *
 * @param pairs In the order in which the DAG decided.
 */
export function findRepeats(pairs: readonly Pair[], timeline: Timeline): Map<Pair, Explained> {
  const triggers = pairs.filter(({ dag }) => actionOf(dag.decision) === "trigger");
  const fired = new Map<string, number>();
  const nameOf = ({ dag }: Pair): string => {
    const alert = newestAlertAt(timeline, Date.parse(dag.at));
    return alert === null ? "an alert" : `alert ${nameAlert(alert)}`;
  };
  for (const pair of triggers) fired.set(nameOf(pair), (fired.get(nameOf(pair)) ?? 0) + 1);
  const matched = new Set<number>();
  const repeats = new Map<Pair, Explained>();
  for (const pair of triggers) {
    const isFirst = actionOf(pair.own.decision) === "trigger" && !matched.has(pair.own.id);
    if (isFirst) matched.add(pair.own.id);
    else if (matched.has(pair.own.id) || pair.own.codes.includes(alreadyActedOn.reason)) {
      const name = nameOf(pair);
      repeats.set(pair, { code: "already_acted_on", detail: `fired ${fired.get(name)} times on ${name}` });
    }
  }
  return repeats;
}
