import { planApproval } from "../approval-plan.ts";
import { decide } from "../evaluate.ts";
import type { Evidence } from "../evidence.ts";
import { describeWhy } from "../explain/why.ts";
import { snooze } from "../guards/snooze.ts";
import { trainingInFlight } from "../guards/training-in-flight.ts";
import type { Judgement } from "../judge.ts";
import { backoffOf, needsOf, type Policy } from "../policy.ts";
import { createReplayedApprovals } from "./approvals.ts";
import type { BufferPast } from "./buffer-past.ts";
import type { ReplaySettings } from "./input.ts";
import type { Past, PastDecision, PastTraining, TrainingResult } from "./past.ts";
import { createTrainingLog } from "./training-log.ts";
import { createEvidenceReader } from "./replayed-evidence.ts";
import { createVisibleChecks } from "./visible-checks.ts";

/** A trigger of a replayed policy. */
export interface Firing {
  at: number;
  /** In a few words. */
  why: string;
  /** The alerts that the training was for. */
  alerts: readonly string[];
  /** Hours that its training took, or would have; null if unknown. */
  hours: number | null;
  /** The recorded decision at this very time, if it triggered too. */
  recordedId: number | null;
  /** How its training went, if it is on record; any other one succeeds. */
  result: TrainingResult;
}

/** What a policy says at a simulated time. */
export interface Evaluation {
  at: number;
  judgement: Judgement;
  /** Why, in a few words. */
  why(): string;
}

/** A policy that is replayed. Time only moves forward. */
export interface Replay {
  /** Lets time pass up to and including an instant, without deciding. */
  moveTo(at: number): void;
  /** When it decides by itself next; Infinity for never. */
  dueAt(): number;
  /** Whether it decides by itself now. */
  isDue(): boolean;
  /** Whether something has changed since it decided last, so that it may decide otherwise. */
  isStale(): boolean;
  /** What it would decide now. */
  peek(): Evaluation;
  /** Decides, with all that follows. @param recorded The decision that was recorded at this very time. */
  decide(recorded: PastDecision | null): Evaluation;
  firings: readonly Firing[];
  /** How many approvals nobody is known to have given. */
  assumedApprovals(): number;
}

const NEVER = Number.POSITIVE_INFINITY;

/** Replays a policy over the past from its first moment on. */
export function createReplay(
  past: Past,
  policy: Policy,
  buffer: BufferPast,
  settings: ReplaySettings,
): Replay {
  const needs = needsOf(policy);
  const hasBackoff = backoffOf(policy) !== null;
  const recordedTrainings = new Map(past.trainings.map((training) => [training.decisionId, training]));
  const nameOf = createNames(past);
  const alertsOf = new Map(past.decisions.map(({ id, alertIds }) => [id, alertIds]));
  const log = createTrainingLog(
    { ...past, isMock: settings.isMock },
    past.trainings
      .filter(({ decidedAt }) => decidedAt < past.from)
      // The alerts of an older decision no longer count.
      .map((training) => ({ ...training, checks: (alertsOf.get(training.decisionId) ?? []).map(nameOf) })),
  );
  let now = past.from;
  const checks = createVisibleChecks(past.checks, needs, (name) => log.answerTo(name, now));
  const approvals = createReplayedApprovals(past.approvals, past.from);
  const readEvidence = createEvidenceReader({ past, needs, settings, buffer, log, checks, approvals });
  const firings: Firing[] = [];
  let nextLookAt = NEVER;
  /** When a training ends, or the answer to an approval comes, that calls for another decision. */
  let callAt = NEVER;
  let isStale = true;
  let synthetic = 0;
  /** The end of trainings that is still to come, the next one first. */
  let ends = log
    .list()
    .flatMap(({ endedAt }) => (endedAt !== null && endedAt > past.from ? [endedAt] : []))
    .toSorted((a, b) => a - b);

  /** The early ends of snoozes that are still to come, the next one first. */
  const unsnoozed = past.snoozes
    .flatMap(({ to, until }) => (to < until && to > past.from ? [to] : []))
    .toSorted((a, b) => a - b);
  let isSnoozed = false;

  function evaluate(forced: PastDecision["forced"]): Evaluation & { evidence: Evidence } {
    const evidence = readEvidence(now, forced);
    const judgement = decide(evidence, policy);
    return { at: now, evidence, judgement, why: () => describeWhy(evidence, policy, judgement) };
  }

  function start(decisionId: number, evidence: Evidence, recorded: PastTraining | null): number | null {
    const { isMock, usualSeconds } = settings;
    const endedAt = now + (isMock ? 0 : (usualSeconds ?? 0) * 1000);
    const assumed = {
      requestedAt: now,
      result: "succeeded",
      endedAt,
      seconds: isMock ? null : usualSeconds,
    } as const;
    const course = recorded ?? assumed;
    log.add({
      ...course,
      decisionId,
      decidedAt: now,
      bufferSize: evidence.buffer.size,
      checks: evidence.alerts.ids,
    });
    if (course.endedAt !== null && course.endedAt > now)
      ends = [...ends, course.endedAt].toSorted((a, b) => a - b);
    checks.forgetAnswers();
    return course.seconds === null ? null : course.seconds / 3600;
  }

  /** The end of a training that the last decision waits for, or that failed, calls for another decision. */
  let isHeldByTraining = false;
  function passEnds(at: number): void {
    while (ends[0] !== undefined && ends[0] <= at) {
      const end = ends[0];
      ends = ends.slice(1);
      now = Math.max(now, end);
      checks.forgetAnswers();
      isStale = true;
      const hasFailed = log.list().some(({ endedAt, result }) => endedAt === end && result === "failed");
      // Like `callsForReevaluation`: a failure that nothing holds back calls for nothing.
      if (isHeldByTraining || (hasFailed && hasBackoff)) callAt = Math.min(callAt, end);
    }
  }

  function passSnoozes(at: number): void {
    while (unsnoozed[0] !== undefined && unsnoozed[0] <= at) {
      const end = unsnoozed.shift() as number;
      isStale = true;
      if (isSnoozed) callAt = Math.min(callAt, end);
    }
  }

  return {
    moveTo(at) {
      passEnds(at);
      passSnoozes(at);
      const before = now;
      now = at;
      if (checks.moveTo(at)) isStale = true;
      const arrival = buffer.findNextArrival(before);
      if (arrival !== null && arrival <= at) isStale = true;
    },
    dueAt: () => Math.min(nextLookAt, callAt, ends[0] ?? NEVER, unsnoozed[0] ?? NEVER),
    isDue: () => now >= Math.min(nextLookAt, callAt),
    isStale: () => isStale,
    peek: () => evaluate(null),
    decide(recorded) {
      const found = evaluate(recorded?.forced ?? null);
      const { evidence, judgement } = found;
      synthetic -= 1;
      const id = recorded?.id ?? synthetic;
      approvals.apply(planApproval(evidence, policy, judgement), { id, at: now });
      isHeldByTraining = judgement.failed.includes(trainingInFlight.reason);
      isSnoozed = judgement.failed.includes(snooze.reason);
      isStale = judgement.decision === "trigger";
      if (judgement.decision === "trigger") {
        const training =
          recorded?.decision === "trigger" ? (recordedTrainings.get(recorded.id) ?? null) : null;
        const hours = start(id, evidence, training);
        const recordedIds = new Set(evidence.alerts.ids);
        const alerts = (evidence.weighed ?? []).flatMap(({ id: name, triggered }) =>
          triggered && recordedIds.has(name) ? [name] : [],
        );
        firings.push({
          at: now,
          why: found.why(),
          alerts,
          hours,
          recordedId: training && id,
          result: training?.result ?? "succeeded",
        });
      }
      nextLookAt =
        judgement.nextLookAt === null ? NEVER : Math.max(Date.parse(judgement.nextLookAt), now + 1);
      const answeredAt = approvals.answeredAt();
      callAt = answeredAt !== null && answeredAt > now ? answeredAt : NEVER;
      return found;
    },
    firings,
    assumedApprovals: approvals.assumed,
  };
}

/** The present name of a check that a decision recorded under any of its names. */
function createNames({ checks }: Past): (name: string) => string {
  const names = new Map<string, string>();
  for (const { names: all } of checks) for (const name of all) names.set(name, all[0] ?? name);
  return (name) => names.get(name) ?? name;
}
