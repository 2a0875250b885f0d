import { type Condition, listCriteria, partOf } from "../condition.ts";
import { formatDuration, toMs } from "../duration.ts";
import type { Fault } from "../fields.ts";
import { parsePolicy, type Policy } from "../policy.ts";

/** A figure of a policy that can be set otherwise: a number or a length of time. */
export interface Threshold {
  /** Where it is, such as `bufferSize.atLeast` or `guards.cooldown.for`; a second criterion of a kind is `driftAlerts#2.atLeast`. */
  path: string;
  value: number | string;
}

const DURATION = /^\d+(\.\d+)?\s*[smhdw]$/;

function isThreshold(value: unknown): value is number | string {
  return typeof value === "number" || (typeof value === "string" && DURATION.test(value));
}

/** The thresholds of a policy: of its criteria in their order, then of its guards. */
export function listThresholds(policy: Policy): Threshold[] {
  const seen = new Map<string, number>();
  const criteria = listCriteria(policy.when).flatMap(({ criterion, settings }) => {
    const place = nameOf(criterion.key, seen);
    return listFigures(place, settings);
  });
  const guards = Object.entries(policy.guards).flatMap(([key, settings]) =>
    settings === "off" ? [] : listFigures(`guards.${key}`, settings),
  );
  return [...criteria, ...guards];
}

function nameOf(key: string, seen: Map<string, number>): string {
  const count = (seen.get(key) ?? 0) + 1;
  seen.set(key, count);
  return count === 1 ? key : `${key}#${count}`;
}

function listFigures(place: string, settings: object): Threshold[] {
  return Object.entries(settings).flatMap(([name, value]: [string, unknown]) =>
    isThreshold(value) ? [{ path: `${place}.${name}`, value }] : [],
  );
}

/** The policy with other thresholds. Adds to `faults` what is wrong, with the path of the threshold. */
export function withThresholds(
  policy: Policy,
  values: ReadonlyMap<string, number | string>,
  faults: Fault[],
): Policy {
  const known = new Set(listThresholds(policy).map(({ path }) => path));
  for (const path of values.keys())
    if (!known.has(path)) faults.push({ path: [path], message: "is no threshold of this policy" });
  const seen = new Map<string, number>();
  const change = (place: string, settings: object): object =>
    Object.fromEntries(
      Object.entries(settings).map(([name, value]: [string, unknown]) => [
        name,
        values.get(`${place}.${name}`) ?? value,
      ]),
    );
  const when = changeLeaves(policy.when, (key, settings) => change(nameOf(key, seen), settings));
  const guards = Object.fromEntries(
    Object.entries(policy.guards).map(([key, settings]) => [
      key,
      settings === "off" ? settings : change(`guards.${key}`, settings),
    ]),
  );
  return parsePolicy({ when, guards }, policy, [], faults);
}

/** Changes the settings of every criterion, in the order of `listCriteria`. */
function changeLeaves(condition: Condition, change: (key: string, settings: object) => object): unknown {
  const part = partOf(condition);
  if (part.kind === "criterion") return { [part.criterion.key]: change(part.criterion.key, part.settings) };
  const children = part.children.map((child) => changeLeaves(child, change));
  return part.kind === "atLeast" ? { atLeast: part.count, of: children } : { [part.kind]: children };
}

/** The threshold times a factor: whole numbers stay whole and above zero. */
export function scale({ value }: Threshold, factor: number): number | string {
  if (typeof value === "string")
    return formatDuration(Math.max(60_000, Math.round((toMs(value) * factor) / 60_000) * 60_000));
  return Number.isInteger(value)
    ? Math.max(1, Math.round(value * factor))
    : Number((value * factor).toPrecision(4));
}
