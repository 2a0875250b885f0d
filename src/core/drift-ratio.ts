import { ratioOf } from "./criteria/severity.ts";
import type { Evidence } from "./evidence.ts";

/** Checks that follow each other within this time are one drift run. */
const RUN_MS = 60_000;

/** The largest score / threshold of the newest drift run; null without scores or thresholds. */
export function computeDriftRatio({ checks: { newest } }: Pick<Evidence, "checks">): number | null {
  const latest = Date.parse(newest[0]?.checkedAt ?? "");
  const ratios = newest
    .filter(({ checkedAt }) => latest - Date.parse(checkedAt) <= RUN_MS)
    .flatMap((check) => ratioOf(check) ?? [])
    .filter(Number.isFinite);
  return ratios.length === 0 ? null : Math.max(...ratios);
}
