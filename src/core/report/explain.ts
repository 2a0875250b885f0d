import { computeBackoffEnd } from "../backoff.ts";
import { type Criterion, findInFlight, type Verdict } from "../evaluate.ts";
import type { Evidence } from "../evidence.ts";
import { formatCount } from "./format.ts";
import type { Policy } from "../policy.ts";

/** Explains each failed criterion and guard: by how much it failed, which training stands in the way and until when. */
export function explainFailures(verdict: Verdict, evidence: Evidence, policy: Policy): string[] {
  const failed = verdict.criteria.filter((criterion) => !criterion.passed);
  return [
    "❌ Not met:",
    ...failed.map((criterion) => `   • ${explainCriterion(criterion, policy)}`),
    ...(verdict.failed.includes("already_acted_on") ? explainGuard(evidence) : []),
    ...(verdict.failed.includes("retry_backoff") ? explainBackoff(evidence, policy) : []),
    ...(verdict.failed.includes("training_in_flight") ? explainInFlight(evidence) : []),
  ];
}

/** What to do next: the guide's own words, preceded by what this verdict calls for. */
export function recommend({ failed }: Verdict, minBufferSizeSetting: string): string[] {
  const specific = failed.flatMap((reason) => {
    switch (reason) {
      case "no_recent_drift_checks":
        return ["Run drift_monitoring first"];
      case "insufficient_buffer":
        return [`Ingest more batches or lower ${minBufferSizeSetting}`];
      case "already_acted_on":
        return ["Wait for the training of that decision; a new alert starts another"];
      case "retry_backoff":
        return ["Look why the training failed; when the backoff is over, a follow-up looks again"];
      case "training_in_flight":
        return ["Wait for the training that is under way; a follow-up looks again after it"];
      case "no_drift_alerts":
        return [];
      default:
        return reason satisfies never;
    }
  });
  return [
    ...specific,
    "Keep ingesting new batches",
    "Run drift_monitoring after each batch",
    "This DAG will auto-trigger when criteria met",
  ];
}

function explainCriterion({ id, actual, required }: Criterion, policy: Policy): string {
  const short = `${formatCount(required - actual)} short`;
  switch (id) {
    case "recent_drift_checks":
      return `Recent drift checks: none in the last ${formatCount(policy.lookbackHours)} hours, at least 1 required`;
    case "drift_alerts":
      return `Drift alerts: ${formatCount(actual)} triggered, ${formatCount(required)} required (${short})`;
    case "buffer_size":
      return `Buffer size: ${formatCount(actual)} ratings, ${formatCount(required)} required (${short})`;
    default:
      return id satisfies never;
  }
}

function explainBackoff({ alerts }: Evidence, policy: Policy): string[] {
  return alerts.failed.map((training) => {
    const { decisionId, conclusion, failures, alerts: count } = training;
    const until = new Date(computeBackoffEnd(training, policy)).toISOString();
    return `   • Backoff: ${formatCount(count)} alert(s) kept until ${until}, as the training of decision #${decisionId} failed (${conclusion ?? "no conclusion"}, failure ${formatCount(failures)} in a row)`;
  });
}

function explainInFlight(evidence: Evidence): string[] {
  return findInFlight(evidence).flatMap(({ decisionId, trainer, state, since, until, url }) => [
    `   • In flight: the training of decision #${decisionId} (${trainer}, ${state}) since ${since}${url === null ? "" : ` ${url}`}`,
    ...(until === null ? [] : [`     holds the model until ${until} at most, unless it is heard of again`]),
  ]);
}

function explainGuard({ alerts }: Evidence): string[] {
  return [
    `   • Re-trigger guard: ${formatCount(alerts.ids.length - alerts.unanswered)} of ${formatCount(alerts.ids.length)} alert(s) already acted on`,
    ...alerts.answeredBy.map(
      ({ decisionId, decidedAt, alerts: count }) =>
        `     by decision #${decisionId} of ${decidedAt} (${formatCount(count)} alert(s))`,
    ),
  ];
}
