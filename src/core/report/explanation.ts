import type { Explanation } from "../explain/explanation.ts";
import { formatInstant, toPlain } from "../format.ts";

/** What would turn the decision, what did not count, what is likely wrong with the sources, and whether drift runs are missing. */
export function explanationLines(
  decision: string,
  { nearestFlips, notCounted, driftRuns, warnings }: Explanation,
): string[] {
  const flips = nearestFlips.map(
    ({ text, eta }) => `   • ${toPlain(text)}${eta === null ? "" : ` (${eta.text})`}`,
  );
  const title = decision === "trigger" ? "🔎 What would have held it back:" : "🔎 What would turn it:";
  return [
    ...(flips.length === 0 ? [] : ["", title, ...flips]),
    ...(notCounted.length === 0 ? [] : ["", "Not counted:", ...notCounted.map(({ text }) => `   • ${text}`)]),
    ...(warnings.length === 0 ? [] : ["", ...warnings.map(({ text }) => `⚠️ Warning: ${text}`)]),
    ...(driftRuns?.state === "missing"
      ? [
          "",
          `🔇 Drift runs are missing: expected every ${driftRuns.every}, due since ${formatInstant(driftRuns.dueAt)}`,
        ]
      : []),
  ];
}
