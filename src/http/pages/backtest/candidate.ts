import type { Fault } from "../../../core/fields.ts";
import { listThresholds, withThresholds } from "../../../core/backtest/thresholds.ts";
import type { Policy } from "../../../core/policy.ts";

/** The policy with the thresholds of a form; null if none differs or one is wrong. */
export function findCandidate(
  policy: Policy,
  query: Readonly<Record<string, string | undefined>>,
): { candidate: Policy | null; faults: string[]; changed: Map<string, number | string> } {
  const changed = new Map<string, number | string>();
  for (const { path, value } of listThresholds(policy)) {
    const text = query[path]?.trim();
    if (text === undefined || text === "" || text === String(value)) continue;
    changed.set(path, typeof value === "number" && Number.isFinite(Number(text)) ? Number(text) : text);
  }
  const faults: Fault[] = [];
  const candidate = changed.size === 0 ? null : withThresholds(policy, changed, faults);
  return {
    candidate: faults.length === 0 ? candidate : null,
    faults: faults.map(
      ({ path, message, value }) =>
        `${path.join(".")}: ${message}${value === undefined ? "" : `, got ${JSON.stringify(value)}`}`,
    ),
    changed,
  };
}
