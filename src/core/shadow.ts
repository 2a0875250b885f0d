import { z } from "zod";
import type { Evidence } from "./evidence.ts";
import { describeWhy } from "./explain/why.ts";
import { judge } from "./judge.ts";
import type { Policy } from "./policy.ts";
import { toRecordedPolicy } from "./recorded-policy.ts";

/** What a shadow policy would have decided on the evidence of a decision. It is recorded beside it, and never acted on. */
export const ShadowVerdict = z.object({
  decision: z.enum(["trigger", "no_action"]),
  reason: z.string(),
  /** The codes of the failed checks. */
  failed: z.array(z.string()),
  /** In a few words. */
  why: z.string(),
  policyHash: z.string(),
  /** As `toRecordedPolicy` returns it. */
  policy: z.unknown(),
});
export type ShadowVerdict = z.infer<typeof ShadowVerdict>;

/** Judges evidence by a shadow policy: the verdict of `evaluate`, without the search for what would turn it. */
export function judgeShadow(evidence: Evidence, policy: Policy, policyHash: string): ShadowVerdict {
  const judgement = judge(evidence, policy);
  const { decision, reason, failed } = judgement;
  return {
    decision,
    reason,
    failed,
    why: describeWhy(evidence, policy, judgement),
    policyHash,
    policy: toRecordedPolicy(policy),
  };
}
