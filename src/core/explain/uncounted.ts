import { computeBackoffEnd } from "../backoff.ts";
import type { PlacedCriterion } from "../condition.ts";
import { toMs } from "../duration.ts";
import { type Evidence, EVIDENCE_LIMITS } from "../evidence.ts";
import { timeOf, weighedChecks } from "../facts.ts";
import { formatCount, formatInstant } from "../format.ts";
import { backoffOf, hasRetriggerGuard, type Policy, sampleFloorOf } from "../policy.ts";
import type { Uncounted } from "./explanation.ts";

/** Which checks did not count, and why. */
export function listUncounted(
  evidence: Evidence,
  policy: Policy,
  criteria: readonly PlacedCriterion[],
): Uncounted[] {
  return [
    ...listAnswered(evidence, policy),
    ...listHeldBack(evidence, policy),
    ...listSmall(evidence, policy, criteria),
    ...listUnread(evidence),
  ];
}

function listAnswered({ alerts, hasQuietChecks }: Evidence, policy: Policy): Uncounted[] {
  if (!hasRetriggerGuard(policy)) return [];
  return alerts.answeredBy.map(({ decisionId, alerts: count }) => ({
    kind: "already_answered",
    count,
    decisionId,
    // A training also answers checks without an alert, if the policy weighs their scores.
    text: `${hasQuietChecks ? countChecks(count) : countAlerts(count)} already acted on by decision #${decisionId}`,
  }));
}

function listHeldBack({ alerts, takenAt, hasQuietChecks }: Evidence, policy: Policy): Uncounted[] {
  const base = backoffOf(policy);
  if (base === null) return [];
  return alerts.failed
    .filter((training) => computeBackoffEnd(training, base) > Date.parse(takenAt))
    .map((training) => ({
      kind: "held_back",
      count: training.alerts,
      decisionId: training.decisionId,
      // The same goes for checks without an alert.
      text: `${hasQuietChecks ? countChecks(training.alerts) : countAlerts(training.alerts)} held back until ${formatInstant(computeBackoffEnd(training, base))}, because the training of decision #${training.decisionId} failed`,
    }));
}

function listSmall(evidence: Evidence, policy: Policy, criteria: readonly PlacedCriterion[]): Uncounted[] {
  const floor = sampleFloorOf(policy);
  if (floor === 0) return [];
  const windows = criteria.flatMap(({ criterion, settings }) => criterion.needs(settings).within ?? []);
  const start = Date.parse(evidence.takenAt) - Math.max(...windows.map(toMs));
  const small = weighedChecks(evidence).filter(
    (check) => (check.samples ?? 0) < floor && timeOf(check) > start,
  );
  if (small.length === 0) return [];
  const unknown = small.filter(({ samples }) => samples === null).length;
  const note = unknown === 0 ? "" : `, ${formatCount(unknown)} of them without a number of samples`;
  return [
    {
      kind: "too_few_samples",
      count: small.length,
      text: `${formatCount(small.length)} check(s) on fewer than ${formatCount(floor)} samples${note}`,
    },
  ];
}

function listUnread({ checks: { unread } }: Evidence): Uncounted[] {
  if (unread === 0) return [];
  const read = formatCount(EVIDENCE_LIMITS.series);
  return [
    {
      kind: "not_read",
      count: unread,
      text: `${countChecks(unread)} not read: a decision reads the newest ${read}, evenly over the features`,
    },
  ];
}

function countAlerts(count: number): string {
  return count === 1 ? "1 alert" : `${formatCount(count)} alerts`;
}

function countChecks(count: number): string {
  return count === 1 ? "1 check" : `${formatCount(count)} checks`;
}
