import type { Check, CheckSettings } from "../check.ts";
import { driftAlerts } from "../criteria/drift-alerts.ts";
import { formatCount } from "../format.ts";
import { onOff } from "../setting.ts";

const settings = {
  ...driftAlerts.settings,
  retriggerGuard: {
    variable: "RETRIGGER_GUARD",
    modelKey: "retriggerGuard",
    schema: onOff,
    default: "on",
    meaning: "`off`: a recent alert may start one training after another.",
  },
} as const satisfies CheckSettings;

/**
 * The re-trigger guard: the same alert does not start a second training. It objects only if the number of alerts would be
 * sufficient otherwise; too few alerts are a separate reason.
 */
export const alreadyActedOn = {
  id: "already_acted_on",
  reason: "already_acted_on",
  label: "Alerts not acted on yet?",
  settings,
  evaluate({ checks, alerts }, { minAlertsTriggered: required, retriggerGuard }) {
    const applies = retriggerGuard && checks.triggered >= required;
    const actual = alerts.unanswered;
    return { required, actual, passed: !applies || actual >= required };
  },
  report: ({ actual, required }) => [
    `alerts not acted on yet: ${formatCount(actual)} of ${formatCount(required)} required`,
  ],
  explain: ({ evidence: { alerts } }) => [
    `Re-trigger guard: ${formatCount(alerts.ids.length - alerts.unanswered)} of ${formatCount(alerts.ids.length)} alert(s) already acted on`,
    ...alerts.answeredBy.map(
      ({ decisionId, decidedAt, alerts: count }) =>
        `  by decision #${decisionId} of ${decidedAt} (${formatCount(count)} alert(s))`,
    ),
  ],
  advise: () => ["Wait for the training of that decision; a new alert starts another one"],
} as const satisfies Check<typeof settings>;
