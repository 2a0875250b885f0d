import { EVIDENCE_LIMITS, type Evidence, type FailedTraining, type WeighedCheck } from "../evidence.ts";
import type { PolicyNeeds } from "../policy.ts";
import { findLastFailed } from "../training-history.ts";
import { toMs } from "../duration.ts";
import type { PastTraining, TrainingResult } from "./past.ts";

/** A training of the replay: a recorded one, or one that a replayed policy requested. */
export interface ReplayedTraining extends PastTraining {
  /** The checks that it was for, by their present names. */
  checks: readonly string[];
}

/** The trainings of a replay that have been decided on, in that order. */
export interface TrainingLog {
  add(training: ReplayedTraining): void;
  list(): readonly ReplayedTraining[];
  /** What they did for a check. */
  answerTo(check: string, at: number): Pick<WeighedCheck, "answeredBy" | "failed">;
  /** Newest first. */
  findInFlight(at: number): ReplayedTraining[];
  findLastSuccess(at: number): ReplayedTraining | null;
  /** What evidence says of the model's trainings. */
  read(at: number, needs: PolicyNeeds): Evidence["trainings"];
  /** What evidence says of failed trainings of its checks. */
  countFailed(recorded: readonly WeighedCheck[], at: number): FailedTraining[];
}

export interface TrainingSettings {
  /** A training that only shows its request counts as succeeded, and holds nothing back. */
  isMock: boolean;
  firstDecisionAt: number | null;
  requestsOfOthers: readonly number[];
}

/** How a training stands at a time. */
function stateOf({ result, endedAt }: PastTraining, at: number): TrainingResult {
  return endedAt !== null && at < endedAt ? "open" : result;
}

const iso = (at: number): string => new Date(at).toISOString();

export function createTrainingLog(
  { isMock, firstDecisionAt, requestsOfOthers }: TrainingSettings,
  initial: readonly ReplayedTraining[],
): TrainingLog {
  const all = [...initial];
  const byCheck = new Map<string, ReplayedTraining[]>();
  const index = (training: ReplayedTraining): void => {
    for (const check of training.checks) byCheck.set(check, [...(byCheck.get(check) ?? []), training]);
  };
  for (const training of all) index(training);

  function findLastSuccess(at: number): ReplayedTraining | null {
    let last: ReplayedTraining | null = null;
    for (const training of all) {
      // A decision does not see the training that it starts, even if a mock succeeds in the same millisecond.
      const hasSucceeded = training.decidedAt < at && stateOf(training, at) === "succeeded";
      if (hasSucceeded && (last === null || endOf(training) >= endOf(last))) last = training;
    }
    return last;
  }
  const endOf = ({ endedAt, requestedAt }: PastTraining): number =>
    isMock ? requestedAt : (endedAt ?? requestedAt);

  function answerTo(check: string, at: number): Pick<WeighedCheck, "answeredBy" | "failed"> {
    const trainings = byCheck.get(check);
    if (trainings === undefined) return UNANSWERED;
    const answer = trainings.find((training) => ["open", "succeeded"].includes(stateOf(training, at)));
    const failures = trainings.filter((training) => stateOf(training, at) === "failed");
    const last = failures.at(-1);
    return {
      answeredBy: answer?.decisionId ?? null,
      failed:
        answer || !last || last.endedAt === null
          ? null
          : { endedAt: iso(last.endedAt), failures: failures.length },
    };
  }

  return {
    add(training) {
      all.push(training);
      index(training);
    },
    list: () => all,
    answerTo,
    findLastSuccess,
    findInFlight: (at) =>
      isMock ? [] : all.filter((training) => stateOf(training, at) === "open").toReversed(),
    read(at, needs) {
      const requested = all.filter((training) => stateOf(training, at) !== "refused").toReversed();
      const last = needs.lastTraining || needs.lastSuccess ? findLastSuccess(at) : null;
      const since = (within: string | null, times: readonly number[]): string[] =>
        within === null
          ? []
          : times
              .filter((time) => time > at - toMs(within) && time <= at)
              .toSorted((a, b) => b - a)
              .map(iso);
      const own = requested.map(({ requestedAt }) => Math.min(requestedAt, at));
      return {
        lastRequestedAt: needs.lastTraining && own[0] !== undefined ? iso(own[0]) : null,
        lastSucceeded: last && {
          decisionId: last.decisionId,
          at: iso(endOf(last)),
          bufferSize: last.bufferSize,
        },
        lastFailed: needs.lastTraining
          ? findLastFailed(
              requested.map((training) => ({
                decisionId: training.decisionId,
                state: stateOf(training, at),
                endedAt: training.endedAt === null ? null : iso(training.endedAt),
              })),
            )
          : null,
        firstDecisionAt:
          needs.lastTraining && firstDecisionAt !== null && firstDecisionAt < at
            ? iso(firstDecisionAt)
            : null,
        requestedAt: since(needs.requestedWithin, own),
        requestedByAll: since(needs.requestedByAllWithin, [...own, ...requestsOfOthers]),
        durations: needs.waiting ? listDurations(all, at) : [],
        nextRows: null,
      };
    },
    countFailed(recorded, at) {
      const counts = new Map<string, FailedTraining>();
      for (const { id, answeredBy, failed } of recorded) {
        if (failed === null || answeredBy !== null) continue;
        const decisionId =
          byCheck.get(id)?.findLast((training) => stateOf(training, at) === "failed")?.decisionId ?? 0;
        const key = `${decisionId}/${failed.failures}`;
        const counted = counts.get(key) ?? { ...failed, decisionId, conclusion: null, alerts: 0 };
        counts.set(key, { ...counted, alerts: counted.alerts + 1 });
      }
      return [...counts.values()]
        .toSorted((a, b) => b.decisionId - a.decisionId)
        .slice(0, EVIDENCE_LIMITS.failed);
    },
  };
}

const UNANSWERED = { answeredBy: null, failed: null };

/** How many of the newest trainings tell how long one takes. */
const MOST_DURATIONS = 20;

function listDurations(
  trainings: readonly ReplayedTraining[],
  at: number,
): Evidence["trainings"]["durations"] {
  return trainings
    .filter((training) => stateOf(training, at) === "succeeded" && training.seconds !== null)
    .toSorted((a, b) => (b.endedAt ?? 0) - (a.endedAt ?? 0))
    .slice(0, MOST_DURATIONS)
    .map(({ bufferSize, seconds }) => ({ rows: bufferSize, seconds: seconds ?? 0 }));
}
