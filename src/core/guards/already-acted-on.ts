import type { Guard } from "../check.ts";
import { type Evidence, EVIDENCE_LIMITS } from "../evidence.ts";
import { moreAlerts } from "../explain/levers.ts";
import { listUnanswered } from "../facts.ts";
import { formatCount, formatInstant } from "../format.ts";

/**
 * The re-trigger guard: the same alert does not start a second training. It objects only if alerts carry the condition: if it
 * holds with all of them, and not without those that a training was already for.
 */
export const alreadyActedOn = {
  id: "already_acted_on",
  key: "alreadyActedOn",
  reason: "already_acted_on",
  label: "Alerts not acted on yet?",
  namesCause: true,
  fields: {},
  default: {},
  docs: {
    rule: "An alert starts one training; only if that training fails may it start another one.",
    example: "alreadyActedOn: on",
  },
  evaluate({ evidence, now, loses, findEnd, requiredAlerts }) {
    const measured = { required: requiredAlerts, actual: countUnanswered(evidence, now) };
    if (!loses("all", "unanswered")) return { ...measured, passed: true };
    const objects = (at: number): boolean => loses("all", "unanswered", at);
    return { ...measured, passed: false, nextLookAt: findEnd(objects, "unanswered") };
  },
  report: ({ actual, required }) => [
    `alerts not acted on yet: ${formatCount(actual)} of ${formatCount(required)} required`,
  ],
  brief: ({ evidence: { alerts } }) => {
    const [newest] = alerts.answeredBy;
    return newest
      ? `decision #${newest.decisionId} already acted on this drift`
      : "this drift was already acted on";
  },
  explain: ({ evidence, result }) => {
    const count = Math.max(result.actual, Math.min(evidence.checks.triggered, EVIDENCE_LIMITS.weighed));
    return [
      `Re-trigger guard: ${formatCount(count - result.actual)} of ${formatCount(count)} alert(s) already acted on`,
      ...evidence.alerts.answeredBy.map(
        ({ decisionId, decidedAt, alerts }) =>
          `  by decision #${decisionId} of ${formatInstant(decidedAt)} (${formatCount(alerts)} alert(s))`,
      ),
    ];
  },
  advise: () => ["Wait for the training of that decision; a new alert starts another one"],
  // The criterion that counts alerts knows how many are enough; for the others one is.
  levers: () => [moreAlerts("already_acted_on", 1, 1)],
} as const satisfies Guard;

function countUnanswered(evidence: Evidence, now: number): number {
  return evidence.weighed === null ? evidence.alerts.unanswered : listUnanswered(evidence, now).length;
}
