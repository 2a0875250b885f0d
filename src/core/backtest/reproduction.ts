import type { PastDecision } from "./past.ts";
import type { Evaluation } from "./replay.ts";

/** How the replay of the policy in force compares with what was recorded. */
export interface Reproduction {
  /** Recorded decisions in the period, and how many of them the replay reached too. */
  recorded: number;
  reproduced: number;
  exceptions: readonly { id: number; at: number; recorded: string; replayed: string; because: string }[];
}

/** Compares the replayed policy in force with recorded decisions; what follows from a difference is one, too. */
export function createReproduction(policyHash: string) {
  const exceptions: Reproduction["exceptions"][number][] = [];
  let recorded = 0;
  let hadActedBefore = false;
  let hasDiverged = false;
  return {
    /** @param hasActed Whether the replay had triggered, or assumed an approval, before this decision. */
    add(decision: PastDecision, { at, judgement }: Evaluation, hasActed: boolean): void {
      // Until the first recorded decision, the replay was on its own.
      if (recorded === 0) hadActedBefore = hasActed;
      recorded += 1;
      const was = describeVerdict(decision.decision, decision.codes);
      const is = describeVerdict(judgement.decision, codesOf(judgement));
      if (was === is) return;
      const because =
        decision.policyHash !== policyHash
          ? "another policy was in force"
          : hadActedBefore
            ? "the replay acted before the first recorded decision"
            : hasDiverged
              ? "it follows from an earlier difference"
              : "the sources have changed since";
      if (decision.decision !== judgement.decision) hasDiverged = true;
      exceptions.push({ id: decision.id, at, recorded: was, replayed: is, because });
    },
    /** Null if nothing was recorded. */
    result: (): Reproduction | null =>
      recorded === 0 ? null : { recorded, reproduced: recorded - exceptions.length, exceptions },
  };
}

function describeVerdict(decision: string, codes: readonly string[]): string {
  return `${decision} (${codes.join(", ")})`;
}

function codesOf({ failed, reason }: Evaluation["judgement"]): readonly string[] {
  return failed.length > 0 ? failed : [reason];
}
