import { CANCELLATIONS, type DispatchState, isMock } from "./dispatch/dispatch.ts";
import type { DriftRuns } from "./drift-runs.ts";
import { describeSpan } from "./duration.ts";
import { toPlain } from "./format.ts";
import { type Standing, STANDINGS, type StandingInput, type Tone } from "./standing.ts";

/** Why a model is or is not retrained, in a sentence, and what would change that. */
export interface Answer {
  tone: Tone;
  label: string;
  sentence: string;
  /** What there is to say besides, a sentence each. */
  details: string[];
}

/** What an answer says about a verdict. */
export interface AnsweredVerdict {
  decision: string;
  /** The reason in a few words; empty if an earlier version recorded it. */
  why: string;
  /** The reason codes, in place of an empty `why`. */
  codes: readonly string[];
}

/** A training, as far as an answer names it. Times are ISO 8601. */
export interface AnsweredTraining {
  decisionId: number;
  trainer: string;
  state: DispatchState;
  reason?: string | null;
  requestedAt: string;
  startedAt?: string | null;
  durationSeconds?: number | null;
  conclusion?: string | null;
  error?: string | null;
}

/** Answers for a model as it stands, given what would be decided now. @param now Unix milliseconds. */
export function answerModel(
  standing: Standing,
  facts: Omit<StandingInput, "isReady">,
  {
    verdict,
    latest,
    training,
    driftRuns = null,
    now,
  }: {
    /** What would be decided now; null if the sources cannot be read. */
    verdict: AnsweredVerdict | null;
    latest: AnsweredVerdict | null;
    training: AnsweredTraining | null;
    /** The drift runs that are missing. */
    driftRuns?: DriftRuns | null;
    now: number;
  },
): Answer {
  const { label, tone } = STANDINGS[standing];
  const { waitingSince, approval } = facts;
  const ago = (iso: string): string => describeSince(iso, now);
  const why = verdict ? whyOf(verdict) : latest ? whyOf(latest) : "";
  const isNow = verdict?.decision === "trigger";
  const isKnown = verdict !== null || latest?.decision.startsWith("trigger") === false;
  const nowToo = isNow ? `By the policy it would be retrained now: ${why}.` : `Not retraining: ${why}.`;
  const also = isKnown ? [nowToo] : [];
  const triggered = `Retraining was triggered ${facts.latest ? `${ago(facts.latest.decidedAt)} ago by decision #${facts.latest.id}` : ""}: ${latest ? whyOf(latest) : why}.`;
  const became = training ? [describeTraining(training, now)] : [];
  const answer = (...[sentence = `${label}.`, ...details]: string[]): Answer => ({
    tone,
    label,
    sentence,
    details,
  });
  switch (standing) {
    case "unknown":
    case "refused":
    case "training":
      return training ? answer(describeTraining(training, now), ...also) : answer(nowToo);
    case "stuck":
      return answer(
        `An event has waited ${ago(waitingSince ?? "")} for a decision.`,
        "A stage may have failed: retry it under Queues, or see Health.",
        ...also,
      );
    case "approval":
      return answer(
        `Not retraining yet: ${why}.`,
        ...(approval === null
          ? []
          : [
              `The request of decision #${approval.decisionId} expires in ${describeSpan(Date.parse(approval.expiresAt) - now)}.`,
            ]),
      );
    case "failed":
      return answer(...also, ...became);
    case "silent":
      return answer(
        driftRuns === null
          ? "Drift runs are missing."
          : `Drift runs are missing: one is expected every ${driftRuns.every}, ${driftRuns.lastSeenAt === null ? "and none has come yet" : `the last sign of one came ${ago(driftRuns.lastSeenAt)} ago`}.`,
        ...also,
      );
    case "ready":
      return answer(
        `Would be retrained now: ${why}.`,
        "The next event or scheduled run decides so; or decide now.",
      );
    case "triggered":
      return answer(
        triggered,
        ...describeOwnTraining(training, now),
        ...(verdict === null ? [] : isNow ? [nowToo] : [`No further training: ${why}.`]),
      );
    case "due":
      return answer(isKnown ? nowToo : triggered, ...became);
    case "snoozed":
    case "held":
    case "waiting":
      return answer(nowToo, ...became);
    case "new":
      return answer(verdict === null ? "No decision yet." : `No decision yet. ${nowToo}`);
    default:
      return standing satisfies never;
  }
}

/** Answers for a recorded decision. @param now Unix milliseconds. */
export function answerDecision(
  verdict: AnsweredVerdict,
  { training, isAwaited, now }: { training: AnsweredTraining | null; isAwaited: boolean; now: number },
): Answer {
  const why = whyOf(verdict);
  if (verdict.decision.startsWith("trigger")) {
    const tone = training === null ? "good" : TRAINING_TONES[training.state];
    return {
      tone: training !== null && isMock(training.trainer) ? "good" : tone,
      label: "Triggered",
      sentence: `Retraining was triggered: ${why}.`,
      details: describeOwnTraining(training, now),
    };
  }
  return {
    tone: isAwaited ? "act" : "calm",
    label: isAwaited ? "Awaiting approval" : "No action",
    sentence: `Not retrained: ${why}.`,
    details: [],
  };
}

const MOCK = "The mock trainer shows its request and sends nothing.";

/** The training of the decision that the sentence names. */
function describeOwnTraining(training: AnsweredTraining | null, now: number): string[] {
  if (training === null) return [];
  return [isMock(training.trainer) ? MOCK : describeTraining(training, now)];
}

/** The colour of a training's state. */
export const TRAINING_TONES: Readonly<Record<DispatchState, Tone>> = {
  pending: "busy",
  sent: "busy",
  running: "busy",
  succeeded: "good",
  failed: "bad",
  cancelled: "wait",
  unknown: "bad",
  rejected: "bad",
};

/** What became of a training, in a sentence. @param now Unix milliseconds. */
function describeTraining(training: AnsweredTraining, now: number): string {
  const { trainer, state, decisionId, requestedAt, startedAt, durationSeconds, conclusion } = training;
  const name = `the training of decision #${decisionId}`;
  const since = (iso: string): string => describeSince(iso, now);
  if (isMock(trainer)) return `Decision #${decisionId} triggered ${since(requestedAt)} ago. ${MOCK}`;
  const took = durationSeconds ? ` after ${describeSpan(durationSeconds * 1000)}` : "";
  const error = training.error ? ` ${end(toPlain(training.error))}` : "";
  switch (state) {
    case "pending":
      return `The request of decision #${decisionId} is being sent to ${trainer}.${error}`;
    case "sent":
      return `Training requested: ${trainer} accepted the request of decision #${decisionId} ${since(requestedAt)} ago.`;
    case "running":
      return `${capitalize(name)} has been running for ${since(startedAt ?? requestedAt)} (trainer: ${trainer}).`;
    case "succeeded":
      return `${capitalize(name)} succeeded${took}.`;
    case "failed":
      return `${capitalize(name)} failed${took}${conclusion ? ` (${toPlain(conclusion)})` : ""}.${error}`;
    case "unknown":
      return `It is unknown whether ${name} started: ${trainer} did not respond. A person must confirm it or resend the request.`;
    case "rejected":
      return `The trainer ${trainer} refused the request of decision #${decisionId}.${error}`;
    case "cancelled": {
      const { reason = null } = training;
      return reason !== null && reason in CANCELLATIONS
        ? `${CANCELLATIONS[reason as keyof typeof CANCELLATIONS]}.`
        : `${capitalize(name)} was cancelled${took}.${error}`;
    }
    default:
      return state satisfies never;
  }
}

function whyOf({ why, codes }: AnsweredVerdict): string {
  if (why !== "") return why;
  return codes.join(", ").replaceAll("_", " ") || "no reason was recorded";
}

function describeSince(iso: string, now: number): string {
  return describeSpan(Math.max(0, now - Date.parse(iso)));
}

/** A text that ends as a sentence does. */
function end(text: string): string {
  return /[.!?]$/.test(text) ? text : `${text}.`;
}

function capitalize(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
