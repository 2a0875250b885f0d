import type { z } from "zod";
import { Evidence } from "../core/evidence.ts";
import { Policy } from "../core/policy.ts";

/** What a decision was judged by; null for a row of the DAG, or of a version that this one cannot read. */
export function parseRecorded(recorded: {
  evidence: unknown;
  policy: unknown;
}): { evidence: Evidence; policy: Policy } | null {
  const evidence = readAs(Evidence, recorded.evidence);
  const policy = readAs(Policy, recorded.policy);
  return evidence !== null && policy !== null ? { evidence, policy } : null;
}

/** A recorded value; null if it has another form, or is nested so deeply that no stack suffices. */
export function readAs<T extends z.ZodType>(schema: T, value: unknown): z.infer<T> | null {
  try {
    return schema.safeParse(value).data ?? null;
  } catch {
    return null;
  }
}
