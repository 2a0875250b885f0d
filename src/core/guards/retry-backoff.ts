import { computeBackoffEnd, countHeldBack, findEnoughAlertsAt } from "../backoff.ts";
import type { Check, CheckSettings } from "../check.ts";
import { formatCount } from "../format.ts";
import { wholeNumber } from "../setting.ts";
import { alreadyActedOn } from "./already-acted-on.ts";

const settings = {
  ...alreadyActedOn.settings,
  backoffSeconds: {
    variable: "TRAINING_BACKOFF_SECONDS",
    schema: wholeNumber(1, 7 * 86_400),
    default: "3600",
    meaning:
      "How long the alerts of a failed training are held back; doubled with each failure, at most a week.",
  },
} as const satisfies CheckSettings;

/** The alerts of a failed training start the next one only after a pause. */
export const retryBackoff = {
  id: "retry_backoff",
  reason: "retry_backoff",
  label: "Enough alerts outside a retry backoff?",
  settings,
  evaluate({ checks, alerts, takenAt }, policy) {
    const { minAlertsTriggered: required, retriggerGuard } = policy;
    const now = Date.parse(takenAt);
    const actual = alerts.unanswered - countHeldBack(alerts.failed, policy, now);
    const applies = retriggerGuard && checks.triggered >= required && alerts.unanswered >= required;
    if (!applies || actual >= required) return { required, actual, passed: true };
    return { required, actual, passed: false, nextLookAt: findEnoughAlertsAt(alerts, policy, now) };
  },
  report: ({ actual, required }) => [
    `alerts outside a retry backoff: ${formatCount(actual)} of ${formatCount(required)} required`,
  ],
  explain: ({ evidence: { alerts }, settings: policy }) =>
    alerts.failed.map((training) => {
      const { decisionId, conclusion, failures, alerts: count } = training;
      const until = new Date(computeBackoffEnd(training, policy)).toISOString();
      return `Backoff: ${formatCount(count)} alert(s) held back until ${until}, because the training of decision #${decisionId} failed (${conclusion ?? "no conclusion"}, failure ${formatCount(failures)} in a row)`;
    }),
  advise: () => ["Find out why the training failed; a follow-up re-evaluates when the backoff ends"],
} as const satisfies Check<typeof settings>;
