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

/** What a failed check is explained by. */
export interface Failure<S extends CheckSettings> {
  result: CheckResult;
  evidence: Evidence;
  settings: ValuesOf<S>;
}

/**
 * A criterion, which must hold before a model is retrained, or a guard, which must not object. Pure. Adding one takes a file
 * and a line in its registry: policy, settings, verdict, report, explanation and documentation follow from it.
 */
export interface Check<S extends CheckSettings = CheckSettings> {
  readonly id: string;
  /** The reason code of a decision that it stops. */
  readonly reason: string;
  /** The question that it answers, as the report asks it. */
  readonly label: string;
  /** What it reads of the policy, by the policy's own keys. Checks may share a setting, but must share its definition. */
  readonly settings: S;
  evaluate(evidence: Evidence, settings: ValuesOf<S>): Measurement;
  /** The lines of its figures in the report. */
  report(result: CheckResult): string[];
  /** One line for a trigger: what was found. */
  summarize?(result: CheckResult): string;
  /** Why it failed: by how much, because of what, until when. A line that is indented continues the one before. */
  explain(failure: Failure<S>): string[];
  /**
   * What to do about it; empty if the general recommendations say enough. `nameSetting` names a setting as the user wrote it:
   * its environment variable, or its place in the YAML file.
   */
  advise(failure: Failure<S>, nameSetting: (key: keyof S & string) => string): string[];
}

/** The result of one check, as verdicts and decisions carry it. */
export const CheckResult = z.object({
  id: z.string(),
  label: z.string(),
  required: z.number(),
  actual: z.number(),
  passed: z.boolean(),
  /** ISO 8601: when time alone could make it pass. */
  nextLookAt: z.string().optional(),
});
export type CheckResult = z.infer<typeof CheckResult>;

/** The figures of a check that passes at a minimum. */
export function atLeast(required: number, actual: number): Measurement {
  return { required, actual, passed: actual >= required };
}

/** Runs one check. */
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
