import type { Guard } from "../check.ts";
import { formatInstant, toPlain } from "../format.ts";

/** The model is paused until an instant that the person had to name. */
export const snooze = {
  id: "snooze",
  key: "snooze",
  reason: "snoozed",
  label: "Not snoozed?",
  fields: {},
  default: {},
  docs: {
    rule: "No training starts while the model is snoozed (`retrigger snooze`); it is re-evaluated when the snooze ends.",
    example: "snooze: on",
  },
  evaluate({ evidence: { interventions }, now }) {
    const until = interventions.snooze === null ? null : Date.parse(interventions.snooze.until);
    if (until === null || until <= now) return { required: 0, actual: 0, passed: true };
    return { required: 0, actual: 1, passed: false, nextLookAt: until };
  },
  report: () => ["the model is snoozed"],
  brief: ({ evidence: { interventions } }) =>
    interventions.snooze === null
      ? "snoozed"
      : `snoozed until ${formatInstant(interventions.snooze.until)} by ${toPlain(interventions.snooze.by)} (${toPlain(interventions.snooze.reason)})`,
  explain: ({ evidence: { interventions } }) =>
    interventions.snooze === null
      ? []
      : [
          `Snoozed: by ${toPlain(interventions.snooze.by)} until ${formatInstant(interventions.snooze.until)} (${toPlain(interventions.snooze.reason)})`,
        ],
  advise: () => ["Wait for its end, or: npx retrigger unsnooze MODEL"],
} as const satisfies Guard;
