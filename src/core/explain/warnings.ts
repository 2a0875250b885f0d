import { listCriteria } from "../condition.ts";
import type { Evidence } from "../evidence.ts";
import { formatCount } from "../format.ts";
import type { Policy } from "../policy.ts";
import type { Warning } from "./explanation.ts";

/** What is likely wrong with the sources. */
export function listWarnings(evidence: Evidence, policy: Policy): Warning[] {
  const warning = findUnshrunkBuffer(evidence, policy);
  return warning === null ? [] : [warning];
}

/** What of the evidence shows whether the buffer is emptied. */
export interface BufferHistory {
  buffer: Pick<Evidence["buffer"], "size" | "unit" | "isSinceTraining" | "smallestSince">;
  trainings: Pick<Evidence["trainings"], "lastSucceeded">;
}

/**
 * Warns if no decision since the last successful training has seen a smaller buffer than the decision that started it, as far as
 * the policy relies on the size: then the same rows count for one training after the other.
 */
export function findUnshrunkBuffer({ buffer, trainings }: BufferHistory, policy: Policy): Warning | null {
  const { size, unit, isSinceTraining, smallestSince } = buffer;
  const { decisionId, bufferSize: before } = trainings.lastSucceeded ?? { decisionId: 0, bufferSize: null };
  if (before === null || before === 0 || isSinceTraining || !reliesOnSize(policy)) return null;
  if (Math.min(size, smallestSince ?? size) < before) return null;
  return {
    code: "buffer_did_not_shrink",
    text: `the buffer did not shrink after the training of decision #${decisionId} (${formatCount(before)} ${unit} before, ${formatCount(size)} now): the same ${unit} count again. Empty it after training, or set source.buffer.since: lastTraining`,
  };
}

function reliesOnSize({ when }: Policy): boolean {
  const criteria = listCriteria(when);
  return (
    criteria.some(
      ({ criterion, settings }) =>
        criterion.key === "bufferSize" && (settings as { atLeast: number }).atLeast > 0,
    ) && !criteria.some(({ criterion }) => criterion.key === "bufferGrowth")
  );
}
