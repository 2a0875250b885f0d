import type { VerificationFault } from "../../core/verification/fault.ts";
import type { Verification } from "../../core/verification/verification.ts";
import type { RowCheck } from "./check-row.ts";

/** So many faults are listed; the rest is only counted. */
const MAX_FAULTS = 1_000;

/** Adds up what a verification finds. */
export function createTally() {
  const models = new Map<string, { decisions: number; faults: number }>();
  const faults: VerificationFault[] = [];
  const uncovered = { dag: 0, unchained: 0, olderEvaluator: 0, newerEvaluator: 0 };
  let decisions = 0;
  let faultCount = 0;

  function modelOf(model: string): { decisions: number; faults: number } {
    const own = models.get(model) ?? { decisions: 0, faults: 0 };
    models.set(model, own);
    return own;
  }

  return {
    addRow(check: RowCheck): void {
      const own = modelOf(check.model);
      if (!check.hasRun && check.sha256 === null) {
        uncovered.dag += 1;
        return;
      }
      own.decisions += 1;
      decisions += 1;
      if (check.sha256 === null) uncovered.unchained += 1;
      else if (check.compared === "outcome") uncovered.olderEvaluator += 1;
      else if (check.compared === "newer") uncovered.newerEvaluator += 1;
    },
    addFaults(found: readonly VerificationFault[]): void {
      faultCount += found.length;
      for (const fault of found) {
        modelOf(fault.model).faults += 1;
        if (faults.length < MAX_FAULTS) faults.push(fault);
      }
    },
    listsMore: (): boolean => faults.length < MAX_FAULTS,
    /** @param pruned What is left of pruned decisions. */
    result(pruned: Verification["pruned"]): Verification {
      const listed = [...models].map(([model, own]) => ({ model, ...own }));
      return {
        decisions,
        models: listed.toSorted((a, b) => (a.model < b.model ? -1 : 1)),
        faults,
        faultCount,
        uncovered,
        pruned,
      };
    },
  };
}
