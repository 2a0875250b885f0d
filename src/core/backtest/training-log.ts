import { EVIDENCE_LIMITS, type Evidence, type WeighedCheck } from "../evidence.ts";
import type { PolicyNeeds } from "../policy.ts";
import { findLastFailed } from "../training-history.ts";
import { toMs } from "../duration.ts";
import type { PastTraining, TrainingResult } from "./past.ts";

/** A training of the replay: a recorded one, or one that a replayed policy requested. */
export interface ReplayedTraining extends PastTraining {
  /** The checks that it was for, by their present names. */
  checks: readonly string[];
}

/** The trainings of a replay, in the order of their decisions. */
export interface TrainingLog {
  add(training: ReplayedTraining): void;
  /** The trainings that had been decided on by then, the oldest first. */
  listUntil(at: number): ReplayedTraining[];
  /** What they did for a check. */
  answerTo(check: string, at: number): Pick<WeighedCheck, "answeredBy" | "failed">;
  findInFlight(at: number): ReplayedTraining[];
  findLastSuccess(at: number): ReplayedTraining | null;
  /** What evidence says of the model's trainings. */
  read(at: number, needs: PolicyNeeds): Evidence["trainings"];
  /** What evidence says of alerts that a training was for. */
  countAnswers(
    recorded: readonly WeighedCheck[],
    at: number,
  ): Pick<Evidence["alerts"], "answeredBy" | "failed">;
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

  const listUntil = (at: number): ReplayedTraining[] => all.filter(({ decidedAt }) => decidedAt <= at);
  const listRequested = (at: number): ReplayedTraining[] =>
    listUntil(at)
      .filter((training) => stateOf(training, at) !== "refused")
      .toReversed();

  function findLastSuccess(at: number): ReplayedTraining | null {
    const succeeded = listUntil(at).filter((training) => stateOf(training, at) === "succeeded");
    return succeeded.toSorted((a, b) => endOf(b) - endOf(a))[0] ?? null;
  }
  const endOf = ({ endedAt, requestedAt }: PastTraining): number =>
    isMock ? requestedAt : (endedAt ?? requestedAt);

  function answerTo(check: string, at: number): Pick<WeighedCheck, "answeredBy" | "failed"> {
    const trainings = (byCheck.get(check) ?? []).filter(({ decidedAt }) => decidedAt <= at);
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
    listUntil,
    answerTo,
    findLastSuccess,
    findInFlight: (at) =>
      isMock
        ? []
        : listUntil(at)
            .filter((training) => stateOf(training, at) === "open")
            .toReversed(),
    read(at, needs) {
      const requested = listRequested(at);
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
        durations: needs.waiting ? listDurations(listUntil(at), at) : [],
        nextRows: null,
      };
    },
    countAnswers(recorded, at) {
      const trainings = new Map(listUntil(at).map((training) => [training.decisionId, training]));
      const answered = countBy(recorded.flatMap(({ answeredBy }) => answeredBy ?? []));
      const failed = countBy(
        recorded.flatMap(({ id, answeredBy, failed: failure }) =>
          answeredBy === null && failure !== null
            ? [JSON.stringify([failure.endedAt, failure.failures, lastFailedOf(id, at)])]
            : [],
        ),
      );
      return {
        answeredBy: [...answered]
          .toSorted(([a], [b]) => b - a)
          .slice(0, EVIDENCE_LIMITS.decisions)
          .map(([decisionId, alerts]) => ({
            decisionId,
            decidedAt: iso(trainings.get(decisionId)?.decidedAt ?? at),
            alerts,
          })),
        failed: [...failed]
          .map(([key, alerts]) => {
            const [endedAt, failures, decisionId] = JSON.parse(key) as [string, number, number];
            return { decisionId, endedAt, conclusion: null, failures, alerts };
          })
          .toSorted((a, b) => b.decisionId - a.decisionId)
          .slice(0, EVIDENCE_LIMITS.failed),
      };
    },
  };

  function lastFailedOf(check: string, at: number): number {
    return (
      (byCheck.get(check) ?? []).findLast((training) => stateOf(training, at) === "failed")?.decisionId ?? 0
    );
  }
}

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

function countBy<T>(values: readonly T[]): Map<T, number> {
  const counts = new Map<T, number>();
  for (const value of values) counts.set(value, (counts.get(value) ?? 0) + 1);
  return counts;
}
