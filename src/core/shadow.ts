import { z } from "zod";

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
