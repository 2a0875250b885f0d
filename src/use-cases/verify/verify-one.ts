import { PermanentError } from "../../core/errors.ts";
import { createChains } from "../../core/verification/chain.ts";
import type { VerificationFault } from "../../core/verification/fault.ts";
import type { Database } from "../../postgres/database.ts";
import { checkRow, hashLink, type RowCheck } from "./check-row.ts";

/** What is known of one decision. */
export interface DecisionVerification {
  decisionId: number;
  model: string;
  sha256: string | null;
  /** Whether it is covered: `chained` with a hash; `unchained` of a version without hashes; `dag`: nothing to verify. */
  coverage: "chained" | "unchained" | "dag";
  compared: RowCheck["compared"];
  faults: VerificationFault[];
}

/**
 * Verifies one decision: its row, its place between the chained decisions before and after it, its verdict.
 *
 * @throws PermanentError NOT_FOUND if there is none.
 */
export async function verifyOne(
  database: Pick<Database, "readWithNeighbours" | "listPruned">,
  id: number,
): Promise<DecisionVerification> {
  const prunedBefore = await database.listPruned();
  const found = await database.readWithNeighbours(id);
  if (found === null)
    throw new PermanentError(
      "NOT_FOUND",
      `There is no decision ${id}. retrigger verify --all finds out whether it was removed`,
    );
  const { row, previous, next } = found;
  const pruned = await database.listPruned();
  const of = (places: typeof pruned) => places.find(({ model }) => model === row.model) ?? null;
  const chains = createChains(hashLink, { atStart: () => of(prunedBefore), now: () => of(pruned) });
  if (previous) chains.begin(checkRow(previous, false));
  const check = checkRow(row);
  const faults = [...check.faults, ...chains.next(check)];
  // What is wrong with the next row itself is not this one's fault.
  if (next)
    faults.push(...chains.next(checkRow(next, false)).filter(({ decisionId }) => decisionId !== next.id));
  const coverage = check.sha256 !== null ? "chained" : check.hasRun ? "unchained" : "dag";
  return { decisionId: id, model: row.model, sha256: row.sha256, coverage, compared: check.compared, faults };
}

/** In one line: "hash, chain and verdict", or what of them could be verified. */
export function describeVerified({ coverage, compared }: DecisionVerification): string {
  if (coverage === "dag") return "Not covered: a row of the DAG has neither a hash nor evidence";
  if (coverage === "unchained")
    return "Verified: decision and reason follow from the evidence; a version without hashes recorded it";
  const verdict = {
    all: "Verified: hash, chain and verdict",
    outcome: "Verified: hash, chain, decision and reason; an older evaluator explained it",
    newer: "Verified: hash and chain; a newer evaluator than this version's reached the verdict",
    nothing: "Verified: hash and chain",
  };
  return verdict[compared];
}
