import { z } from "zod";
import { formatQuantity } from "../format.ts";
import { VerificationFault } from "./fault.ts";

/** The newest chained decision of a model: what is kept elsewhere to find a history that was rewritten. */
export const Anchor = z.object({
  model: z.string(),
  decisionId: z.int(),
  sha256: z.string(),
  /** ISO 8601; null if its row has no date. */
  at: z.string().nullable(),
});
export type Anchor = z.infer<typeof Anchor>;

/** Decisions that were not verified in full, by the reason. */
const Uncovered = z.object({
  /** Rows of the DAG, which have neither a hash nor evidence. */
  dag: z.int(),
  /** Rows of a version without hashes: only whether decision and reason follow from the evidence was verified. */
  unchained: z.int(),
  /** Of an older evaluator: the explanation was not compared. */
  olderEvaluator: z.int(),
  /** Of a newer evaluator than this version's: the verdict was not compared. */
  newerEvaluator: z.int(),
});
type Uncovered = z.infer<typeof Uncovered>;

/** What retraining_pruned says of a model. It says nothing of what was removed otherwise. */
const PrunedDecisions = z.object({
  model: z.string(),
  decisions: z.int(),
  /** The newest of them. */
  upTo: z.int(),
});
type PrunedDecisions = z.infer<typeof PrunedDecisions>;

/** The result of a verification. */
export const Verification = z.object({
  /** How many decisions were verified, without the rows of the DAG. */
  decisions: z.int(),
  models: z.array(z.object({ model: z.string(), decisions: z.int(), faults: z.int() })),
  /** The first of them; `faultCount` counts all. */
  faults: z.array(VerificationFault),
  faultCount: z.int(),
  uncovered: Uncovered,
  /** Which decisions cannot be verified, because they were pruned. */
  pruned: z.array(PrunedDecisions),
});
export type Verification = z.infer<typeof Verification>;

/** In one line: "Verified 1,234 decisions of 3 models: no faults; 18 rows of the DAG are not covered". */
export function summarizeVerification(verification: Verification): string {
  const { decisions, models, faultCount, uncovered } = verification;
  const covered = models.filter((model) => model.decisions > 0).length;
  const verified = `Verified ${formatQuantity(decisions, "decision")} of ${formatQuantity(covered, "model")}`;
  const found = faultCount === 0 ? "no faults" : formatQuantity(faultCount, "fault");
  return [`${verified}: ${found}`, ...describeUncovered(uncovered)].join("; ");
}

/** For each model a line: "films: 1,200 decisions up to #4711 were pruned". */
export function describePruned({ pruned }: { pruned: readonly PrunedDecisions[] }): string[] {
  return pruned.map(
    ({ model, decisions, upTo }) =>
      `${model}: ${formatQuantity(decisions, "decision")} up to #${upTo} ${decisions === 1 ? "was" : "were"} pruned`,
  );
}

function describeUncovered(uncovered: Uncovered): string[] {
  const texts: [number, string][] = [
    [uncovered.dag, "of the DAG not covered"],
    [uncovered.unchained, "of a version without hashes: verdicts only"],
    [uncovered.olderEvaluator, "of an older evaluator: explanations not compared"],
    [uncovered.newerEvaluator, "of a newer evaluator: verdicts not compared"],
  ];
  return texts.flatMap(([rows, text]) => (rows === 0 ? [] : [`${formatQuantity(rows, "row")} ${text}`]));
}
