import { formatCount, formatQuantity, formatTime } from "../format.ts";
import type { Difference, Parity } from "./compare.ts";
import { wrapLine } from "../report/wrap.ts";
import { PARITY_CODES } from "./explain-difference.ts";

/** How far Retrigger agrees with the DAG running alongside. */
export interface ParityReport extends Parity {
  model: string;
  /** The period, ISO 8601. */
  since: string;
  until: string;
}

/** The report as text. @param timeZone IANA zone of the times. */
export function parityLines(report: ParityReport, timeZone: string): string[] {
  const { model, since, until, dagRows, decisions, pairs, agreeing, differences, unpaired, doubts } = report;
  const at = (time: string | null): string => formatTime(time, timeZone).trim();
  const share = pairs === 0 ? "" : ` (${Math.floor((100 * agreeing) / pairs)} %)`;
  return [
    `${model} beside the DAG, ${at(since)} to ${at(until)}`,
    `${formatQuantity(dagRows, "row")} of the DAG, ${formatQuantity(decisions, "decision")} of Retrigger`,
    "",
    `${formatCount(agreeing)} of ${formatCount(pairs)} pairs agree${share}`,
    ...tableLines("Where they differ:", differences, at),
    ...tableLines("Without a counterpart:", unpaired, at),
    ...doubts.flatMap((doubt) => ["", `⚠️ ${doubt}`]),
  ].flatMap(wrapLine);
}

type Format = (time: string | null) => string;

function tableLines(title: string, list: readonly Difference[], at: Format): string[] {
  if (list.length === 0) return [];
  const entries = [...group(list, ({ code }) => code)].flatMap(([code, all]) => [
    `${formatCount(all.length).padStart(6)}  ${code}`,
    `        ${PARITY_CODES[all[0]?.code ?? "unexplained"]}`,
    ...[...group(all, ({ detail }) => detail)].map(
      ([detail, rows]) => `        - ${detail}: ${describeRows(rows, at)}`,
    ),
  ]);
  return ["", title, ...entries];
}

/** Which rows, and when. */
function describeRows(rows: readonly Difference[], at: Format): string {
  const [first, last] = [rows[0], rows.at(-1)];
  if (first === undefined || last === undefined) return "";
  const count = rows.length > 1 ? `${formatCount(rows.length)} times, ` : "";
  const until = rows.length > 1 ? ` to ${at(last.at)}` : "";
  return `${count}${at(first.at)}${until} (${describePair(first)}${rows.length > 1 ? ", ..." : ""})`;
}

function describePair({ dagRow, decision }: Difference): string {
  return [dagRow === null ? null : `row ${dagRow}`, decision === null ? null : `decision #${decision}`]
    .filter((part) => part !== null)
    .join(", ");
}

function group<T>(list: readonly T[], keyOf: (item: T) => string): Map<string, T[]> {
  const groups = new Map<string, T[]>();
  for (const item of list) add(groups, keyOf(item), item);
  return groups;
}

function add<T>(groups: Map<string, T[]>, key: string, item: T): void {
  const known = groups.get(key);
  if (known) known.push(item);
  else groups.set(key, [item]);
}
