import { computeBackoffEnd } from "../backoff.ts";
import type { Guard, GuardInput } from "../check.ts";
import { duration } from "../duration.ts";
import { moreAlerts } from "../explain/levers.ts";
import { listUnanswered, weighedChecks } from "../facts.ts";
import type { Fields } from "../fields.ts";
import { formatCount, formatInstant } from "../format.ts";

const fields = {
  base: {
    schema: duration("1s", "7d"),
    default: "1h",
    meaning:
      "How long a failed training holds the model back; doubled with each failure in a row, at most a week.",
  },
} as const satisfies Fields;

/** After a failed training, its alerts start the next one only after a pause; so does whatever else called for it. */
export const retryBackoff = {
  id: "retry_backoff",
  key: "retryBackoff",
  reason: "retry_backoff",
  label: "Enough alerts outside a retry backoff?",
  fields,
  shorthand: "base",
  default: {},
  docs: {
    rule: "After a failed training, what called for it calls for the next one only after a pause.",
    example: "retryBackoff: 1h",
    formula: "base x 2^(failures in a row - 1), at most 7d",
  },
  evaluate(input, { base }) {
    const { evidence, now, requiredAlerts: required } = input;
    const released = listUnanswered(evidence, now).filter(
      ({ failed }) => failed === null || now >= computeBackoffEnd(failed, base),
    );
    const measured = { required, actual: released.length };
    if (input.backoff === null || isReleased(input, now, base)) return { ...measured, passed: true };
    return { ...measured, passed: false, nextLookAt: findRelease(input, base) };
  },
  report: ({ actual, required }) => [
    `alerts outside a retry backoff: ${formatCount(actual)} of ${formatCount(required)} required`,
  ],
  brief({ result: { nextLookAt }, evidence }) {
    const { decisionId } = evidence.alerts.failed[0] ?? evidence.trainings.lastFailed ?? { decisionId: null };
    const what =
      decisionId === null ? "the last training failed" : `the training of decision #${decisionId} failed`;
    return nextLookAt === undefined ? what : `${what}; the next may start at ${formatInstant(nextLookAt)}`;
  },
  explain({ evidence, now, settings: { base } }) {
    const { alerts, trainings } = evidence;
    const held = alerts.failed.filter((training) => computeBackoffEnd(training, base) > now);
    if (held.length > 0 || trainings.lastFailed === null)
      return alerts.failed.map((training) => {
        const { decisionId, conclusion, failures, alerts: count } = training;
        const until = formatInstant(computeBackoffEnd(training, base));
        return `Backoff: ${formatCount(count)} alert(s) held back until ${until}, because the training of decision #${decisionId} failed (${conclusion ?? "no conclusion"}, failure ${formatCount(failures)} in a row)`;
      });
    const { decisionId, failures } = trainings.lastFailed;
    const until = formatInstant(computeBackoffEnd(trainings.lastFailed, base));
    return [
      `Backoff: held back until ${until}, because the training of decision #${decisionId} failed (failure ${formatCount(failures)} in a row)`,
    ];
  },
  advise: () => ["Find out why the training failed; a follow-up re-evaluates when the backoff ends"],
  levers: () => [moreAlerts("retry_backoff", 1, 1)],
} as const satisfies Guard<typeof fields>;

/** Whether nothing that calls for a training at an instant is held back by a failure. */
function isReleased(
  { evidence, holds, loses, isCarriedByNew }: GuardInput,
  at: number,
  base: string,
): boolean {
  if (loses("unanswered", "released", at)) return false;
  const { lastFailed } = evidence.trainings;
  if (lastFailed === null || at >= computeBackoffEnd(lastFailed, base) || !holds("released", at)) return true;
  // New checks that call for a training need not wait for the failure of an earlier one.
  return isCarriedByNew(at);
}

function findRelease(input: GuardInput, base: string): number | null {
  const { evidence } = input;
  const failures = weighedChecks(evidence).flatMap(({ failed, answeredBy }) =>
    failed === null || answeredBy !== null ? [] : [failed],
  );
  const { lastFailed } = evidence.trainings;
  const ends = [...failures, ...(lastFailed === null ? [] : [lastFailed])].map((failure) =>
    computeBackoffEnd(failure, base),
  );
  return input.findEnd((at) => !isReleased(input, at, base), "released", ends);
}
