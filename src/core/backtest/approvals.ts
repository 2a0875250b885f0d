import type { ApprovalPlan } from "../approval-plan.ts";
import type { Evidence } from "../evidence.ts";
import { findMedian } from "../median.ts";
import type { PastApproval } from "./past.ts";

/** The newest request for an approval in a replay. */
export interface ReplayedApprovals {
  read(at: number): Evidence["interventions"]["approval"];
  /** Carries out what a decision does to approvals. */
  apply(plan: ApprovalPlan, decision: { id: number; at: number }): void;
  /** When the open request is answered; null if there is none, or it never is. */
  answeredAt(): number | null;
}

interface Request extends Omit<PastApproval, "settled"> {
  settled: "used" | "void" | null;
}

/**
 * Follows approvals. A request that is on record is answered as it was; any other one is approved after the usual delay, because
 * nobody knows what a person would have said.
 */
export function createReplayedApprovals(
  recorded: readonly PastApproval[],
  from: number,
): ReplayedApprovals & { assumed(): number } {
  const byDecision = new Map(recorded.map((approval) => [approval.decisionId, approval]));
  const delayMs = findDelay(recorded);
  const earlier = recorded.findLast(({ requestedAt }) => requestedAt < from);
  const settledBefore = earlier?.settled && earlier.settled.at < from ? earlier.settled.state : null;
  let current: Request | null = earlier ? { ...earlier, settled: settledBefore } : null;
  let assumed = 0;
  return {
    read(at) {
      if (current === null) return null;
      const { decisionId, requestedAt, expiresAt, answer, settled } = current;
      const given = answer !== null && answer.at <= at ? answer : null;
      return {
        decisionId,
        state: settled ?? given?.state ?? "open",
        requestedAt: new Date(requestedAt).toISOString(),
        expiresAt: new Date(expiresAt).toISOString(),
        answeredAt: given && new Date(given.at).toISOString(),
        by: given?.by ?? null,
        reason: given?.reason ?? null,
      };
    },
    apply({ requestForMs, settle }, { id, at }) {
      if (settle !== null && current?.decisionId === settle.decisionId) current.settled = settle.state;
      if (requestForMs === null) return;
      const known = byDecision.get(id);
      if (known) current = { ...known, settled: null };
      else {
        assumed += 1;
        const answer = { state: "approved" as const, at: at + delayMs, by: "backtest", reason: "assumed" };
        current = {
          decisionId: id,
          requestedAt: at,
          expiresAt: at + Math.max(requestForMs, delayMs + 1),
          answer,
          settled: null,
        };
      }
    },
    answeredAt: () => (current === null || current.settled !== null ? null : (current.answer?.at ?? null)),
    assumed: () => assumed,
  };
}

/** How long people usually take to answer, in milliseconds: the median. */
function findDelay(recorded: readonly PastApproval[]): number {
  const delays = recorded.flatMap(({ requestedAt, answer }) =>
    answer === null ? [] : [answer.at - requestedAt],
  );
  return findMedian(delays) ?? 1_000;
}
