import type { Guard } from "../check.ts";
import { type Evidence, findInFlight } from "../evidence.ts";
import { switchOver } from "../explain/levers.ts";
import { formatCount, formatInstant } from "../format.ts";

/** No training of the model is under way. Objects until every training has ended or reached its limit. */
export const trainingInFlight = {
  id: "training_in_flight",
  key: "trainingInFlight",
  reason: "training_in_flight",
  label: "No training under way?",
  namesCause: true,
  ending: "the training under way reaches its limit",
  fields: {},
  default: {},
  docs: {
    rule: "No training starts while another training of the model is under way.",
    example: "trainingInFlight: on",
  },
  evaluate({ evidence, now }) {
    const trainings = findInFlight(evidence, now);
    const [required, actual] = [0, trainings.length];
    if (actual === 0) return { required, actual, passed: true };
    const limits = trainings.map(({ until }) => (until === null ? null : Date.parse(until)));
    const nextLookAt = limits.includes(null) ? null : Math.max(...limits.map(Number));
    return { required, actual, passed: false, nextLookAt };
  },
  report: ({ actual }) => [`trainings under way: ${formatCount(actual)}, none allowed`],
  brief: ({ evidence, now }) => {
    const [newest] = findInFlight(evidence, now);
    return newest ? `the training of decision #${newest.decisionId} is under way` : "a training is under way";
  },
  explain: ({ evidence, now }) =>
    findInFlight(evidence, now).flatMap(({ decisionId, trainer, state, since, until, url }) => [
      `In flight: the training of decision #${decisionId} (${trainer}, ${state}) since ${formatInstant(since)}${url === null ? "" : ` ${url}`}`,
      ...(until === null
        ? []
        : [`  blocks the model until ${formatInstant(until)} at the latest, unless it shows a sign of life`]),
    ]),
  advise: () => ["Wait for the training under way; a follow-up re-evaluates when it ends"],
  levers: () => [
    switchOver(
      "training_ends",
      "training_in_flight",
      "the end of the training under way",
      (evidence: Evidence) => ({ ...evidence, inFlight: [] }),
      (evidence) => findInFlight(evidence).length > 0,
    ),
  ],
} as const satisfies Guard;
