import type { Observation } from "../faults/auditor.ts";

/** States in which the alerts of a dispatch may start another one. */
const RELEASES_ALERTS = ["cancelled", "failed", "rejected"];

/**
 * Triggers whose every alert had already started an earlier training. A trigger also lists older alerts that still count, so
 * one that is new is enough.
 */
export function auditAlerts({
  decisions,
  dispatches,
}: Pick<Observation, "decisions" | "dispatches">): string[] {
  const answered = new Set<string>();
  const faults: string[] = [];
  for (const { id, decision, alertIds } of decisions) {
    const isKept = dispatches.some(
      ({ decisionId, state }) => decisionId === id && !RELEASES_ALERTS.includes(state),
    );
    if (decision !== "trigger" || !isKept) continue;
    if (alertIds.every((alert) => answered.has(alert)))
      faults.push(`duplicate dispatch: every alert of #${id} had started a training before`);
    for (const alert of alertIds) answered.add(alert);
  }
  return faults;
}
