import { joinTexts } from "../explain/join-texts.ts";
import type { Brought, RecordedOutcome } from "./outcome.ts";

/** A training that ended well or whose outcome was reported. Times are ISO 8601. */
export interface JudgedTraining {
  decisionId: number;
  runId: string | null;
  model: string;
  trainer: string;
  requestedAt: string;
  /** What carried the decision: `drift_detected`, `max_age`, ... */
  reason: string | null;
  /** The features whose alerts it was for; none unless it was for drift. */
  features: string[];
  outcomes: RecordedOutcome[];
  judged: Brought;
}

/** What the trainings for one cause brought. */
export interface CauseTally extends Record<Brought, number> {
  /** "drift in amount_psi" */
  cause: string;
  trainings: number;
}

/** What a training was for, in a few words: "drift in amount_psi". */
export function describeCause({ reason, features }: Pick<JudgedTraining, "reason" | "features">): string {
  if (reason !== "drift_detected") return (reason ?? "an unknown reason").replaceAll("_", " ");
  return features.length === 0 ? "drift" : `drift in ${joinTexts(features)}`;
}

/** Counts what trainings brought by what they were for; those that brought nothing most often come first. */
export function tallyByCause(trainings: readonly JudgedTraining[]): CauseTally[] {
  const tallies = new Map<string, CauseTally>();
  for (const training of trainings) {
    const cause = describeCause(training);
    const empty = { cause, trainings: 0, improved: 0, nothing: 0, worse: 0, unknown: 0 };
    const tally = tallies.get(cause) ?? empty;
    tally.trainings += 1;
    tally[training.judged] += 1;
    tallies.set(cause, tally);
  }
  return [...tallies.values()].toSorted(
    (a, b) => countUseless(b) - countUseless(a) || b.trainings - a.trainings || (a.cause < b.cause ? -1 : 1),
  );
}

const countUseless = ({ nothing, worse }: CauseTally): number => nothing + worse;

/** "3 of 5 trainings for drift in amount_psi brought nothing" */
export function describeTally(tally: CauseTally): string {
  const { cause, trainings, improved, worse, unknown } = tally;
  const known = trainings - unknown;
  const useless = countUseless(tally);
  const noun = (count: number): string => (count === 1 ? "training" : "trainings");
  if (known === 0) return `What ${trainings} ${noun(trainings)} for ${cause} brought is unknown`;
  const rest = unknown === 0 ? "" : `; of ${unknown} more it is unknown`;
  if (useless === 0) return `${improved} of ${known} ${noun(known)} for ${cause} improved the model${rest}`;
  const harm = worse === 0 ? "" : `, and ${worse} of them made it worse`;
  return `${useless} of ${known} ${noun(known)} for ${cause} brought nothing${harm}${rest}`;
}
