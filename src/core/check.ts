import { z } from "zod";
import type { Evidence } from "./evidence.ts";
import type { Setting, ValuesOf } from "./setting.ts";

/** The settings of a check. Each has a default, so that every model has a complete policy. */
export type CheckSettings = Readonly<Record<string, Setting & { default: string }>>;

/** What a check measured. */
export interface Measurement {
  required: number;
  actual: number;
  passed: boolean;
  /** When a failed check could pass through time alone, Unix milliseconds; absent or null for never. */
  nextLookAt?: number | null;
}

/** What the explanation of a failed check is based on. */
export interface Failure<S extends CheckSettings> {
  result: CheckResult;
  evidence: Evidence;
  settings: ValuesOf<S>;
}

/**
 * A criterion, which must hold before a model is retrained, or a guard, which must not object. Pure. To add one, write one
 * file and add one line to its registry: policy, settings, verdict, report, explanation and documentation follow.
 */
export interface Check<S extends CheckSettings = CheckSettings> {
  readonly id: string;
  /** The reason code of a decision that fails this check. */
  readonly reason: string;
  /** The question that the report shows. */
  readonly label: string;
  /** The settings it reads, by their keys in the policy. Checks may share a setting, but only with the same definition. */
  readonly settings: S;
  evaluate(evidence: Evidence, settings: ValuesOf<S>): Measurement;
  /** Its figures as report lines. */
  report(result: CheckResult): string[];
  /** What was found, in one line, for the report of a trigger. */
  summarize?(result: CheckResult): string;
  /** Why it failed: by how much, because of what, until when. An indented line continues the previous one. */
  explain(failure: Failure<S>): string[];
  /**
   * What to do about it; empty if the general recommendations are enough. `nameSetting` names a setting as the user wrote
   * it: its environment variable, or its place in the YAML file.
   */
  advise(failure: Failure<S>, nameSetting: (key: keyof S & string) => string): string[];
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
});
export type CheckResult = z.infer<typeof CheckResult>;

/** Measures a check that requires a minimum. */
export function atLeast(required: number, actual: number): Measurement {
  return { required, actual, passed: actual >= required };
}

export function runCheck(
  { id, label, evaluate }: Check,
  evidence: Evidence,
  settings: ValuesOf<CheckSettings>,
): CheckResult {
  const { required, actual, passed, nextLookAt = null } = evaluate(evidence, settings);
  return {
    id,
    label,
    required,
    actual,
    passed,
    ...(nextLookAt === null ? {} : { nextLookAt: new Date(nextLookAt).toISOString() }),
  };
}
