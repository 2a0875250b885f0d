import type { VerificationFault } from "./fault.ts";

/** What of a row takes part in its model's chain. Hashes are hexadecimal. */
export interface ChainedRow {
  id: number;
  model: string;
  /** Whether a run of the service wrote it; a row of the DAG has no place in the chain. */
  hasRun: boolean;
  /** The last decision that its evidence saw, as recorded; null for none. */
  previousId: number | null;
  decisionDate: string | null;
  contentSha256: string | null;
  previousSha256: string | null;
  sha256: string | null;
  /** The version of the evaluator; null from before versions were recorded. Every version that records it computes hashes too. */
  evaluator: number | null;
  /** The hash of its content as it stands. */
  content: string;
}

/** What a row's hash is computed over. */
export type Link = Pick<ChainedRow, "id" | "decisionDate" | "contentSha256" | "previousSha256">;

/** What is left of a model's pruned decisions: the newest of them, and the hash with which the chain goes on. */
export interface PrunedPlace {
  decisionId: number;
  sha256: string | null;
}

/** Where models were pruned; null for not at all. Prune may run while rows are read. */
export interface PrunedPlaces {
  /** Before the first row was read. */
  atStart(model: string): PrunedPlace | null;
  /** When last asked, after the row at hand was read. */
  now(model: string): PrunedPlace | null;
}

/** Less than every id: the column holds 32 bits, and only the service never writes a negative one. */
export const BEFORE_ALL = -(2 ** 31) - 1;

interface KnownRow {
  id: number;
  sha256: string;
  /** What its hash would be, as it stands. */
  link: string;
}

interface UnhashedRow {
  id: number;
  /** Whether it is known to be no row of an older worker. */
  isFault: boolean;
  /** Whether the chain had begun before it, so that an older worker must have recorded it beside newer ones. */
  isWithin: boolean;
}

interface Chain {
  /** The newest chained rows, oldest first. */
  known: KnownRow[];
  /** The newest row after them that has no hash although a run wrote it. */
  unhashed: UnhashedRow | null;
  /** The newest row of the DAG. */
  dagId: number | null;
}

/** How many rows of a model are remembered: so many inserted ones in a row are named. */
const REMEMBERED = 32;

interface PlaceAfterPrune {
  /** The hash with which the chain begins for this row. */
  start: string | null;
  /** Whether the row itself was pruned since it was read. */
  isPruned: boolean;
  /** Whether a decision before it was pruned since it was read. */
  wasPruned(id: number): boolean;
}

/**
 * Follows the chains of models, row by row in the order of their ids. It remembers a few rows of each model, however many there
 * are.
 *
 * @param hashLink Computes the hash of a row.
 */
export function createChains(hashLink: (link: Link) => string, pruned: PrunedPlaces) {
  const chains = new Map<string, Chain>();

  function chainOf(model: string): Chain {
    const chain = chains.get(model) ?? { known: [], unhashed: null, dagId: null };
    chains.set(model, chain);
    return chain;
  }

  function remember(row: ChainedRow): void {
    const chain = chainOf(row.model);
    if (row.sha256 === null) {
      const isFault = isStripped(row);
      const isWithin = chain.known.length > 0 || placeOf(row).start !== null;
      if (row.hasRun || isFault) chain.unhashed = { id: row.id, isFault, isWithin };
      else chain.dagId = row.id;
      return;
    }
    chain.known.push({ id: row.id, sha256: row.sha256, link: hashLink(row) });
    if (chain.known.length > REMEMBERED) chain.known.shift();
    chain.unhashed = null;
  }

  /** Whether a row continues the one before it. */
  function continues(row: ChainedRow): boolean {
    const last = chainOf(row.model).known.at(-1);
    return last ? isContinuedBy(row)(last) : row.previousSha256 === placeOf(row).start;
  }

  /** How a row stands to what was pruned, also since it was read. */
  function placeOf({ id, model }: ChainedRow): PlaceAfterPrune {
    const [atStart, now] = [pruned.atStart(model), pruned.now(model)];
    const isAfter = now !== null && id > now.decisionId;
    const oldest = atStart?.decisionId ?? 0;
    return {
      start: (isAfter ? now : atStart)?.sha256 ?? null,
      isPruned: !isAfter && now !== null && id > oldest,
      wasPruned: (other) => isAfter && other > oldest && other <= now.decisionId,
    };
  }

  function check(row: ChainedRow): VerificationFault[] {
    const skipped = row.hasRun ? findUnseen(row, chainOf(row.model)) : [];
    return [...skipped, ...(row.sha256 === null ? checkUnhashed(row) : checkHashed(row))];
  }

  function checkHashed(row: ChainedRow): VerificationFault[] {
    const found = findChangedHash(row, chainOf(row.model), hashLink);
    if (continues(row) || found?.column === "previous_sha256") return found ? [found.fault] : [];
    return [...(found ? [found.fault] : []), ...checkPlace(row, chainOf(row.model), placeOf(row))];
  }

  return {
    /** The faults of the next row's place in its chain. */
    next(row: ChainedRow): VerificationFault[] {
      const faults = check(row);
      remember(row);
      return faults;
    },
    /** Takes a row as the one before the next, unchecked. */
    begin: remember,
    /** Whether a row continues the one before it, or has no place in a chain. */
    fits: (row: ChainedRow): boolean => row.sha256 === null || continues(row),
    /** The id after which a row should have come that is missing before this one; null if none is. */
    findGap(row: ChainedRow): number | null {
      if (row.sha256 === null || continues(row)) return null;
      const { known } = chainOf(row.model);
      const isKnown = known.some(isContinuedBy(row));
      return isKnown || row.previousSha256 === null ? null : (known.at(-1)?.id ?? BEFORE_ALL);
    },
    hasRows: (model: string): boolean => chains.has(model),
  };
}

/** Tells the row whose hash, as recorded or as it stands, another one continues. */
function isContinuedBy({ previousSha256 }: ChainedRow): (row: KnownRow) => boolean {
  return ({ sha256, link }) => previousSha256 === sha256 || previousSha256 === link;
}

function checkUnhashed(row: ChainedRow): VerificationFault[] {
  if (!isStripped(row)) return [];
  const { id, model, contentSha256, previousSha256 } = row;
  if (contentSha256 !== null || previousSha256 !== null)
    return [{ kind: "changed", model, decisionId: id, text: `#${id} was changed: its sha256 was removed` }];
  const text = `#${id} was inserted, or its hashes were removed: it has none, although its evaluator's version records them`;
  return [{ kind: "inserted", model, decisionId: id, text }];
}

/** Whether a row without a hash must have had one. */
function isStripped({ contentSha256, previousSha256, evaluator }: ChainedRow): boolean {
  return contentSha256 !== null || previousSha256 !== null || evaluator !== null;
}

/** A decision sees every one before it. A worker of an older version writes no hashes, but what comes after has seen its row. */
function findUnseen({ id, model, previousId }: ChainedRow, { unhashed }: Chain): VerificationFault[] {
  if (!unhashed?.isWithin || unhashed.isFault || (previousId ?? 0) >= unhashed.id) return [];
  const text = `#${unhashed.id} was inserted: it has no hashes, and #${id} did not see it`;
  return [{ kind: "inserted", model, decisionId: unhashed.id, text }];
}

function findChangedHash(
  row: ChainedRow,
  { known }: Chain,
  hashLink: (link: Link) => string,
): { column: string; fault: VerificationFault } | null {
  const { id, model, sha256 } = row;
  const changed = (column: string, what: string) => {
    const text = `#${id} was changed: ${column} ${what}`;
    return { column, fault: { kind: "changed", model, decisionId: id, text } as const };
  };
  if (row.contentSha256 === null) return changed("content_sha256", "was removed");
  if (hashLink(row) === sha256) return null;
  const last = known.at(-1)?.sha256 ?? null;
  const column =
    hashLink({ ...row, previousSha256: last }) === sha256
      ? "previous_sha256"
      : hashLink({ ...row, contentSha256: row.content }) === sha256
        ? "content_sha256"
        : "id, decision_date or one of its hashes";
  return changed(column, "does not fit its sha256");
}

/** What a row that does not continue the one before it tells about those before it. */
function checkPlace(
  row: ChainedRow,
  { known, unhashed, dagId }: Chain,
  { start, isPruned, wasPruned }: PlaceAfterPrune,
): VerificationFault[] {
  const { id, model, previousSha256, previousId } = row;
  const inserted = (rows: readonly KnownRow[], what: string): VerificationFault[] =>
    rows.map((other) => ({
      kind: "inserted",
      model,
      decisionId: other.id,
      text: `#${other.id} was inserted: #${id} ${what}`,
    }));
  const stripped = (other: number): VerificationFault => {
    const text = `#${other} was changed: its hashes were removed, which #${id} continues`;
    return { kind: "changed", model, decisionId: other, text };
  };
  const place = known.findLastIndex(isContinuedBy(row));
  if (place >= 0) return inserted(known.slice(place + 1), `continues #${known[place]?.id}`);
  const last = known.at(-1);
  if (last && previousSha256 === start)
    return inserted(
      known.filter((other) => !wasPruned(other.id)),
      "is the first of its chain",
    );
  // What came before it is gone too.
  if (isPruned) return [];
  const newestId = Math.max(last?.id ?? BEFORE_ALL, unhashed?.id ?? BEFORE_ALL);
  const isNamed = previousId !== null && previousId !== dagId && previousId > newestId && previousId < id;
  // The hash that it continues was that of a row which has none now.
  if (unhashed && !isNamed) return unhashed.isFault ? [] : [stripped(unhashed.id)];
  const text = isNamed
    ? `#${previousId} was removed: #${id} continues it`
    : last
      ? `A decision between #${last.id} and #${id} was removed: #${id} does not continue #${last.id}`
      : `Decisions before #${id} were removed, and not by retrigger prune`;
  return [{ kind: "removed", model, decisionId: isNamed ? previousId : null, text }];
}
