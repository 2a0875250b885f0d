import type { Check, CheckSettings } from "../check.ts";
import { findInFlight } from "../evidence.ts";
import { formatCount } from "../format.ts";
import { onOff } from "../setting.ts";

const settings = {
  inFlightGuard: {
    variable: "TRAINING_IN_FLIGHT_GUARD",
    modelKey: "trainingInFlightGuard",
    schema: onOff,
    default: "on",
    meaning: "`off`: a training may start while another training of the model is under way.",
  },
} as const satisfies CheckSettings;

/** No training of the model is under way. Objects until every training has ended or reached its limit. */
export const trainingInFlight = {
  id: "training_in_flight",
  reason: "training_in_flight",
  label: "No training under way?",
  settings,
  evaluate(evidence, { inFlightGuard }) {
    const trainings = findInFlight(evidence);
    const [required, actual] = [0, trainings.length];
    if (!inFlightGuard || actual === 0) return { required, actual, passed: true };
    const limits = trainings.map(({ until }) => (until === null ? null : Date.parse(until)));
    const nextLookAt = limits.includes(null) ? null : Math.max(...limits.map(Number));
    return { required, actual, passed: false, nextLookAt };
  },
  report: ({ actual }) => [`trainings under way: ${formatCount(actual)}, none allowed`],
  explain: ({ evidence }) =>
    findInFlight(evidence).flatMap(({ decisionId, trainer, state, since, until, url }) => [
      `In flight: the training of decision #${decisionId} (${trainer}, ${state}) since ${since}${url === null ? "" : ` ${url}`}`,
      ...(until === null
        ? []
        : [`  blocks the model until ${until} at the latest, unless it shows a sign of life`]),
    ]),
  advise: () => ["Wait for the training under way; a follow-up re-evaluates when it ends"],
} as const satisfies Check<typeof settings>;
