import { Evidence } from "../core/evidence.ts";
import { Policy } from "../core/policy.ts";

/** What a decision was judged by; null for a row of the DAG, or of a version that this one cannot read. */
export function parseRecorded(recorded: {
  evidence: unknown;
  policy: unknown;
}): { evidence: Evidence; policy: Policy } | null {
  const evidence = Evidence.safeParse(recorded.evidence);
  const policy = Policy.safeParse(recorded.policy);
  return evidence.success && policy.success ? { evidence: evidence.data, policy: policy.data } : null;
}
