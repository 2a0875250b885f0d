import { z } from "zod";
import type { Evidence } from "./evidence.ts";
import type { Lever } from "./explain/lever.ts";
import type { Counting, Facts } from "./facts.ts";
import type { Fault, FieldOwner, Fields, FieldValues } from "./fields.ts";

/** What a check measured. */
export interface Measurement {
  required: number;
  actual: number;
  passed: boolean;
  /** When a failed check could pass through time alone, Unix milliseconds; absent or null for never. */
  nextLookAt?: number | null;
}

/** The result of one check, as part of a verdict. */
export const CheckResult = z.object({
  id: z.string(),
  label: z.string(),
  required: z.number(),
  actual: z.number(),
  /** Also true, whatever the figures, if the check is switched off or does not apply. */
  passed: z.boolean(),
  /** When it could pass through time alone, ISO 8601. */
  nextLookAt: z.string().optional(),
  /** A guard that objected but was overridden by a forced decision. */
  overridden: z.literal(true).optional(),
});
export type CheckResult = z.infer<typeof CheckResult>;

/** What a criterion or a guard is described by. Each is one file and one line in its registry. */
export interface CheckDefinition<F extends Fields = Fields> extends FieldOwner {
  readonly id: string;
  /** Its name in the YAML file. */
  readonly key: string;
  /** The reason code of a decision that fails this check. */
  readonly reason: string;
  /** The question that the report shows. */
  readonly label: string;
  readonly fields: F;
  readonly shorthand?: string;
  /** For docs/policies.md: the rule in one sentence, an example as YAML, and where known the formula and its source. */
  readonly docs: { rule: string; example: string; formula?: string; source?: string };
  /** Whether its `brief` names what the condition is about, so that nothing need be added. */
  readonly namesCause?: true;
  /** The columns of drift checks that it cannot do without, by their keys in the YAML file. */
  readonly columns?: readonly string[];
  /** Contradictions that the fields do not show by themselves. */
  findFaults?(settings: FieldValues<F>): Pick<Fault, "message" | "path">[];
}

/** What the report of a failed check is based on. */
export interface Failure<S> {
  result: CheckResult;
  evidence: Evidence;
  settings: S;
  /** Unix milliseconds. */
  now: number;
  /** The decision that is reported; null if it is not recorded, or not yet. */
  decisionId: number | null;
}

/** How a check shows itself in the report. */
export interface CheckReport<S> {
  /** Its figures as report lines. */
  report(result: CheckResult, context: { evidence: Evidence; settings: S }): string[];
  /** Why it failed in a few words, for a sentence: "12,400 ratings short". Times are relative to the evidence. */
  brief(failure: Failure<S>): string;
  /** Why it failed: by how much, because of what, until when. An indented line continues the previous one. */
  explain(failure: Failure<S>): string[];
  /** What to do about it; empty if the general recommendations are enough. `name` names the setting that decides. */
  advise(failure: Failure<S>, name: string): string[];
}

/** What of the sources a criterion needs, beyond the counts in the window. */
export interface Needs {
  /** How far back its checks reach. */
  within?: string;
  /** How far back it reads scores for comparison only. */
  reach?: string;
  /** Also the checks that triggered no alert. */
  quietChecks?: boolean;
  /** It weighs checks that triggered no alert, so that these are answered by a training too. */
  weighsScores?: boolean;
  growth?: boolean;
  waiting?: boolean;
  lastTraining?: boolean;
  /** Of the trainings only the last successful one, with the buffer that its decision saw. */
  lastSuccess?: boolean;
  /** When trainings of this model, or of all models together, were requested within this time. */
  requestedWithin?: string;
  requestedByAllWithin?: string;
}

/** A criterion of a policy: a leaf of its condition. Pure. */
export interface Criterion<F extends Fields = Fields>
  extends CheckDefinition<F>, CheckReport<FieldValues<F>> {
  /** The reason code of a trigger that it carried; null if it never is a reason to retrain by itself. */
  readonly carries: string | null;
  /** Whether it measures drift: such a criterion goes before any other as a trigger's reason. */
  readonly isDrift: boolean;
  /** Whether its figures are rows of the buffer. */
  readonly measuresBuffer?: true;
  /** What its figures count, if that is not plain from the label. */
  readonly unit?: string;
  needs(settings: FieldValues<F>): Needs;
  evaluate(facts: Facts, settings: FieldValues<F>): Measurement;
  /** What was found, in one line, for the report of a trigger. */
  summarize?(result: CheckResult, context: { evidence: Evidence; settings: FieldValues<F> }): string;
  /** The same in a few words, for a sentence; `summarize` if absent. */
  found?(result: CheckResult, context: { evidence: Evidence; settings: FieldValues<F> }): string;
  /** The changes that could make it pass, and those that could make it fail. */
  levers(settings: FieldValues<F>, place: string): { raise: Lever[]; lower: Lever[] };
}

/** What a guard judges. */
export interface GuardInput {
  evidence: Evidence;
  /** Unix milliseconds. */
  now: number;
  /** Whether the condition of the policy holds, counting only some of the checks, at `now` or another instant. */
  holds(counting: Counting, at?: number): boolean;
  /**
   * Whether the condition holds as long as checks of the first kind count, but not if only those of the second kind do; also
   * if criteria that do not measure drift are still in its way.
   */
  loses(counting: Counting, than: Counting, at?: number): boolean;
  /**
   * Whether checks that no training was for make a criterion that measures drift carry the condition: it does not without
   * them, or they alone meet it.
   */
  isCarriedByNew(at: number): boolean;
  /**
   * The first instant at which a guard that judges the condition no longer objects, Unix milliseconds: it is tried when a
   * criterion passes through time alone, and at the given instants. Null for never.
   */
  findEnd(objects: (at: number) => boolean, counting: Counting, instants?: readonly number[]): number | null;
  /** Whether the condition holds and every guard before this one passed. */
  othersPass: boolean;
  /** How many alerts the policy requires. */
  requiredAlerts: number;
  /** The backoff of the policy; null if it is off. */
  backoff: string | null;
}

/** A guard of a policy: it may object to a trigger that the condition calls for. Pure. */
export interface Guard<F extends Fields = Fields> extends CheckDefinition<F>, CheckReport<FieldValues<F>> {
  /** On unless a policy says otherwise, with these settings; null if it is off by default. */
  readonly default: Record<string, unknown> | null;
  /** When it ends, it begins anew: time alone never makes it pass. */
  readonly isRenewed?: true;
  /** How to say that it no longer objects, if "<id> ends" does not. */
  readonly ending?: string;
  needs?(settings: FieldValues<F>): Needs;
  evaluate(input: GuardInput, settings: FieldValues<F>): Measurement;
  /** What else than time could make it pass: a switch, such as an approval. */
  levers?(settings: FieldValues<F>): Lever[];
}

/** Measures a check that requires a minimum. */
export function atLeast(required: number, actual: number): Measurement {
  return { required, actual, passed: actual >= required };
}

export function toResult(
  { id, label }: Pick<CheckDefinition, "id" | "label">,
  { required, actual, passed, nextLookAt = null }: Measurement,
): CheckResult {
  return {
    id,
    label,
    required,
    actual,
    passed,
    ...(nextLookAt === null ? {} : { nextLookAt: new Date(nextLookAt).toISOString() }),
  };
}
