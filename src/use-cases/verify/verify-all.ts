import { availableParallelism } from "node:os";
import { PermanentError } from "../../core/errors.ts";
import { BEFORE_ALL, type ChainedRow, createChains } from "../../core/verification/chain.ts";
import type { VerificationFault } from "../../core/verification/fault.ts";
import type { Verification } from "../../core/verification/verification.ts";
import type { Database } from "../../postgres/database.ts";
import type { PrunedHead, RecordedRow } from "../../postgres/verification.ts";
import { checkRow, hashContent, hashLink, type RowCheck } from "./check-row.ts";
import { createRowChecker, ownThread, type RowChecker } from "./row-checker.ts";
import { createTally } from "./tally.ts";

export type VerificationStore = Pick<
  Database,
  "measureDecisions" | "readRecorded" | "listPruned" | "listRecordedModels"
>;

export interface VerifyOptions {
  /** Only this model; null for all. */
  model: string | null;
  onProgress?(done: number, total: number): void;
  /** How the rows are checked; in threads by default if there are many. */
  checker?: RowChecker;
  /** How many rows are read at once. */
  pageRows?: number;
}

const PAGE_ROWS = 200;
/** The largest id that the column holds. */
const MAX_ID = 2 ** 31 - 1;
/** Fewer rows are checked before a thread would have started. */
const MANY = 2_000;

/**
 * Verifies recorded decisions: each row's content against its hash, its verdict against its evidence and policy, and the chain of
 * each model. Reads page by page, so that memory does not grow with the table. What is recorded meanwhile is left for the next time.
 *
 * @throws PermanentError UNKNOWN_MODEL for a model without decisions.
 */
export async function verifyAll(database: VerificationStore, options: VerifyOptions): Promise<Verification> {
  const { model } = options;
  const { newestId, count } = await database.measureDecisions(model);
  if (model !== null && count === 0) throw await noDecisions(database, model);
  const checker = options.checker ?? chooseChecker(count);
  try {
    return await verifyRows(database, { ...options, checker, upTo: newestId, count });
  } finally {
    if (!options.checker) await checker.close();
  }
}

function chooseChecker(count: number): RowChecker {
  const threads = Math.min(4, availableParallelism());
  return count < MANY || threads < 2 ? ownThread : createRowChecker(threads);
}

async function verifyRows(
  database: VerificationStore,
  {
    model,
    checker,
    upTo,
    count,
    onProgress,
    pageRows = PAGE_ROWS,
  }: VerifyOptions & { checker: RowChecker; upTo: number; count: number },
): Promise<Verification> {
  const readPruned = async (): Promise<Map<string, PrunedHead>> =>
    new Map((await database.listPruned()).map((place) => [place.model, place]));
  const atStart = await readPruned();
  let pruned = atStart;
  const chains = createChains(hashLink, {
    atStart: (name) => atStart.get(name) ?? null,
    now: (name) => pruned.get(name) ?? null,
  });
  const tally = createTally();
  const nameModels = createModelNames(database);
  let done = 0;

  async function add(check: RowCheck): Promise<void> {
    tally.addRow(check);
    tally.addFaults(tally.listsMore() ? await nameModels(check) : check.faults);
    if (!chains.hasRows(check.model)) tally.addFaults(checkPruned(check, atStart.get(check.model)));
    if (!chains.fits(check)) {
      // What was pruned while we read was not removed.
      pruned = await readPruned();
      await addLateRows(check);
    }
    tally.addFaults(chains.next(check));
    if (check.hasRun && check.id < 1) {
      const text = `#${check.id} was inserted: the service's decisions begin with #1`;
      tally.addFaults([{ kind: "inserted", model: check.model, decisionId: check.id, text }]);
    }
  }

  /** Ids are given before rows can be seen: one that was recorded while we read may come before those that we have read. */
  async function addLateRows(check: RowCheck): Promise<void> {
    const after = chains.findGap(check);
    if (after === null) return;
    const range = { model: check.model, after, upTo: check.id - 1, limit: pageRows };
    for (const row of await database.readRecorded(range)) {
      if (row.sha256 === null) continue;
      const late = checkRow(row);
      tally.addRow(late);
      tally.addFaults([...late.faults, ...chains.next(late)]);
    }
  }

  for await (const checks of checkPages(database, checker, { model, upTo, limit: pageRows })) {
    for (const check of checks) await add(check);
    done += checks.length;
    onProgress?.(done, count);
  }
  const listed = [...pruned.values()].filter((head) => model === null || head.model === model);
  for (const { model: name, decisionId } of listed) {
    if (chains.hasRows(name)) continue;
    // It may have been decided about, and pruned, since we began.
    if ((await database.readRecorded({ model: name, after: upTo, upTo: MAX_ID, limit: 1 })).length > 0)
      continue;
    const text = `Every decision of ${name} after #${decisionId} was removed: retrigger prune keeps the newest`;
    tally.addFaults([{ kind: "removed", model: name, decisionId: null, text }]);
  }
  return tally.result(
    listed.map(({ model: name, decisions, decisionId }) => ({ model: name, decisions, upTo: decisionId })),
  );
}

/** Decisions are pruned from the oldest on. @param oldest The oldest row of the model that is left. */
function checkPruned({ id, model }: ChainedRow, head: PrunedHead | undefined): VerificationFault[] {
  if (head === undefined || head.decisionId < id) return [];
  const text = `#${id} is there, although retraining_pruned says that the decisions of ${model} up to #${head.decisionId} were pruned: that record was changed, or the decision was inserted`;
  return [{ kind: "changed", model, decisionId: id, text }];
}

/** Reads pages and has them checked, some ahead of those that it yields in order. */
async function* checkPages(
  database: Pick<VerificationStore, "readRecorded">,
  checker: RowChecker,
  { limit, ...range }: { model: string | null; upTo: number; limit: number },
): AsyncGenerator<RowCheck[]> {
  const running: Promise<RowCheck[]>[] = [];
  let after = BEFORE_ALL;
  let page: RecordedRow[];
  do {
    page = await database.readRecorded({ ...range, after, limit });
    after = page.at(-1)?.id ?? after;
    const checking = checker.check(page);
    // It is awaited in its turn; until then, its failure must not end the process.
    checking.catch(() => {});
    running.push(checking);
    while (running.length > checker.threads) yield (await running.shift()) ?? [];
  } while (page.length === limit);
  for (const checking of running) yield await checking;
}

/** Tells of a changed row whether it was recorded under another model's name. */
function createModelNames(database: Pick<VerificationStore, "listRecordedModels">) {
  let models: Promise<string[]> | null = null;
  return async ({
    id,
    model,
    faults,
    changedContent,
    contentSha256,
  }: RowCheck): Promise<VerificationFault[]> => {
    if (changedContent === null) return faults;
    models ??= database.listRecordedModels();
    const original = (await models)
      .slice(0, MAX_NAMES)
      .find((name) => hashContent({ ...changedContent, model: name }) === contentSha256);
    if (original === undefined) return faults;
    const text = `#${id} was changed: model is "${model}", but it was recorded about "${original}"`;
    return faults.map((fault) => (fault.kind === "changed" ? { ...fault, text } : fault));
  };
}

const MAX_NAMES = 200;

async function noDecisions(
  database: Pick<VerificationStore, "listRecordedModels">,
  model: string,
): Promise<PermanentError> {
  const known = (await database.listRecordedModels()).slice(0, 20).join(", ");
  return new PermanentError(
    "UNKNOWN_MODEL",
    `There is no decision about a model "${model}". ${known === "" ? "Nothing is recorded yet" : `Models with records: ${known}`}`,
  );
}
