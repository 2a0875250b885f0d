/** The oldest version of Node that we promise to run on. */
export const OLDEST_NODE = [20, 19, 0] as const;

/** Whether a range of `engines.node` includes it. Throws if the range has a form that it does not know. */
export function includesOldestNode(range: string): boolean {
  return range.split("||").some((alternative) =>
    alternative
      .trim()
      .replaceAll(/([<>=^~])\s+/g, "$1")
      .split(/\s+/)
      .every(includesOldestNodeAlone),
  );
}

function includesOldestNodeAlone(comparator: string): boolean {
  if (comparator === "*") return true;
  const [, sign, ...parts] =
    /^(>=|<=|>|<|=|\^|~|)(\d+)(?:\.(\d+|[*x]))?(?:\.(\d+|[*x]))?$/.exec(comparator) ?? [];
  if (sign === undefined) throw new Error(`Unknown form of a version range: ${comparator}`);
  const given = parts.filter((part) => part !== undefined && !/[*x]/.test(part)).map(Number);
  const isSame = (count: number): boolean =>
    given.slice(0, count).every((part, index) => part === OLDEST_NODE[index]);
  const unequal = given.findIndex((part, index) => part !== OLDEST_NODE[index]);
  const order = unequal === -1 ? 0 : Math.sign((OLDEST_NODE[unequal] ?? 0) - (given[unequal] ?? 0));
  switch (sign) {
    case ">=":
      return order >= 0;
    case "<=":
      return order <= 0;
    case ">":
      return order > 0;
    case "<":
      return order < 0;
    case "^":
      return isSame(1) && order >= 0;
    case "~":
      return isSame(2) && order >= 0;
    default:
      return isSame(3);
  }
}
