import { toMs } from "./duration.ts";
import type { Verdict } from "./evaluate.ts";
import type { Evidence } from "./evidence.ts";
import { approval, findRejectionEnd } from "./guards/approval.ts";
import { type Policy, settingsOf } from "./policy.ts";

/** What recording a decision does to the model's approvals. */
export interface ApprovalPlan {
  /** How long the approval that it requests may take, in milliseconds; null if it requests none. */
  requestForMs: number | null;
  /** The request that it settles, by the decision that made it: an approval is used, or no longer needed. */
  settle: { decisionId: number; state: "used" | "void" } | null;
}

type ApprovalEvidence = { interventions: Pick<Evidence["interventions"], "approval"> } & Pick<
  Evidence,
  "takenAt"
>;

/**
 * Plans what becomes of approvals. A trigger uses up its approval. An approval whose evidence has faded is void: should the
 * condition hold again, a new one is requested. A request that is still open is kept.
 */
export function planApproval(
  { interventions: { approval: request }, takenAt }: ApprovalEvidence,
  policy: Policy,
  verdict: Pick<Verdict, "decision" | "failed" | "condition">,
): ApprovalPlan {
  const settings = expiryOf(policy);
  const isOpen = request?.state === "open" && Date.parse(request.expiresAt) > Date.parse(takenAt);
  const isAwaited = isApprovalAwaited({ interventions: { approval: request }, takenAt }, policy, verdict);
  return {
    requestForMs: settings !== null && isAwaited && !isOpen ? toMs(settings.expires) : null,
    settle: request && findSettlement(request, verdict),
  };
}

/** Whether a person may approve the training now: nothing else is missing, and the request has not been rejected. */
export function isApprovalAwaited(
  { interventions: { approval: request }, takenAt }: ApprovalEvidence,
  policy: Policy,
  { failed }: Pick<Verdict, "failed">,
): boolean {
  const settings = expiryOf(policy);
  const rejectedUntil = settings && findRejectionEnd(request, toMs(settings.expires));
  const isRejected = rejectedUntil !== null && rejectedUntil > Date.parse(takenAt);
  return !isRejected && failed.some((code) => code === approval.reason);
}

function expiryOf(policy: Policy): { expires: string } | null {
  return settingsOf(policy, approval) as { expires: string } | null;
}

function findSettlement(
  { decisionId, state }: NonNullable<Evidence["interventions"]["approval"]>,
  { decision, condition }: Pick<Verdict, "decision" | "condition">,
): ApprovalPlan["settle"] {
  if (decision === "trigger") {
    if (state === "approved") return { decisionId, state: "used" };
    return state === "open" ? { decisionId, state: "void" } : null;
  }
  return state === "approved" && condition?.passed === false ? { decisionId, state: "void" } : null;
}
