import { PermanentError } from "../../core/errors.ts";
import { parseInput, parseJson } from "../../core/parse.ts";
import type { VerificationFault } from "../../core/verification/fault.ts";
import { Anchor } from "../../core/verification/verification.ts";
import type { PrunedHead } from "../../postgres/verification.ts";

/**
 * Parses kept heads: a JSON object on each line, as `retrigger verify --anchor` prints them.
 *
 * @throws PermanentError that names the faulty line.
 */
export function parseAnchors(text: string, name: string): Anchor[] {
  const anchors = text.split("\n").flatMap((line, index) => {
    if (line.trim() === "") return [];
    const value = parseJson(line);
    if (value === undefined)
      throw new PermanentError(
        "BAD_INPUT",
        `${name}:${index + 1} is not JSON. Expected lines as retrigger verify --anchor prints them`,
      );
    return [parseInput(Anchor, value, `head in ${name}:${index + 1}`)];
  });
  if (anchors.length > 0) return anchors;
  throw new PermanentError(
    "BAD_INPUT",
    `${name} has no heads. Keep some with: retrigger verify --anchor > ${name}`,
  );
}

/** How kept heads compare with the rows. */
export interface AnchorComparison {
  faults: VerificationFault[];
  /** How many heads could not be compared, because retraining_pruned says that they were pruned since. */
  pruned: number;
}

/** Compares kept heads with the rows: one that is gone or has another hash means that history was rewritten or cut off. */
export async function compareAnchors(
  anchors: readonly Anchor[],
  readHash: (id: number) => Promise<{ model: string; sha256: string | null } | null>,
  pruned: readonly PrunedHead[],
): Promise<AnchorComparison> {
  const faults: VerificationFault[] = [];
  let prunedSince = 0;
  for (const anchor of anchors) {
    const head = pruned.find(({ model }) => model === anchor.model);
    const { model, decisionId } = anchor;
    const row = await readHash(decisionId);
    const text = describeDifference(anchor, row, head);
    if (text === null && row?.model !== model && head?.decisionId !== decisionId) prunedSince += 1;
    if (text !== null) faults.push({ kind: "head", model, decisionId, text: `#${decisionId} ${text}` });
  }
  return { faults, pruned: prunedSince };
}

function describeDifference(
  { model, decisionId, sha256 }: Anchor,
  row: { model: string; sha256: string | null } | null,
  pruned: PrunedHead | undefined,
): string | null {
  if (row?.model === model) {
    if (row.sha256 === sha256) return null;
    return `has another hash than the kept head of ${model}: it, or what was before it, was rewritten`;
  }
  if (pruned === undefined || pruned.decisionId < decisionId)
    return `is gone, but it was the head of ${model}: the end of its history was cut off or rewritten`;
  const isSame = pruned.decisionId > decisionId || pruned.sha256 === sha256;
  return isSame ? null : `was pruned with another hash than the kept head of ${model}`;
}
