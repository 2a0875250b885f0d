import type { ConfigWithoutRedis } from "../../config/config.ts";
import { GUIDE_POLICY, Policy } from "../../core/policy.ts";
import type { PointInTime } from "../../core/point-in-time.ts";
import { type PruneNeeds, pruneNeedsOf } from "../../core/prune-needs.ts";
import type { Database } from "../../postgres/database.ts";
import type { KeptFrom } from "../../postgres/prune/prune.ts";
import type { PruneTarget } from "../../postgres/prune/target.ts";
import { findModel } from "../../config/find-model.ts";
import { type ArchivedDatabase, describeCutOff, openArchive } from "./archive.ts";

/** What was removed, or would be, and what is kept. */
export interface PruneResult {
  /** ISO 8601: what is older goes. */
  before: string;
  isDryRun: boolean;
  /** Whether it was stopped before its end. */
  isStopped: boolean;
  models: PrunedModel[];
  audit: number;
}

interface PrunedModel {
  model: string;
  decisions: number;
  events: number;
  checks: number;
  /** Where the decisions that are kept begin; null without decisions. */
  keptFrom: KeptFrom | null;
}

export interface PruneRequest {
  before: PointInTime;
  /** Only this model; null for all. */
  model: string | null;
  /** The path of a file that gets the rows; null for none. */
  archive: string | null;
  isDryRun: boolean;
}

export interface PruneHooks {
  /** Called after each batch. */
  onProgress(done: number, total: number): void;
  onNote(text: string): void;
  /** Stops it after the batch at hand. */
  signal: AbortSignal;
}

type PruneDatabase = Pick<
  Database,
  | "findPruneTime"
  | "identifyDatabase"
  | "listPrunableModels"
  | "countPrunableDecisions"
  | "countPrunable"
  | "pruneDecisions"
  | "prunePart"
  | "hasPrunableRow"
  | "countPruned"
  | "whilePruning"
>;

/** Removes old decisions, events, reported checks and audit entries in small batches, each archived before it is removed. */
export async function prune(
  config: Pick<ConfigWithoutRedis, "models" | "trainer">,
  database: PruneDatabase,
  request: PruneRequest,
  hooks: PruneHooks,
): Promise<PruneResult> {
  const before = await database.findPruneTime(request.before);
  const targets = await listTargets(config, database, request.model, before);
  const isAudited = request.model === null;
  const counted = await countAll(database, targets, isAudited);
  const result = { before, isDryRun: request.isDryRun, isStopped: false, ...counted };
  if (request.isDryRun) return result;
  const { archive: path } = request;
  return database.whilePruning(async () => {
    const archive = path === null ? null : await openArchive(path, await describeDatabase(database));
    try {
      const cutOff = path === null || archive === null ? null : describeCutOff(path, archive);
      if (cutOff !== null) hooks.onNote(cutOff);
      const save = async (lines: readonly string[]): Promise<void> => archive?.append(lines);
      const removed = await removeAll({ database, targets, counted, save, hooks, before, isAudited });
      return { ...result, ...removed, isStopped: hooks.signal.aborted };
    } finally {
      await archive?.close();
    }
  });
}

async function describeDatabase(database: PruneDatabase): Promise<ArchivedDatabase> {
  const { hasPrunableRow, countPruned } = database;
  return { id: await database.identifyDatabase(), hasRow: hasPrunableRow, countPruned };
}

async function listTargets(
  { models, trainer }: Pick<ConfigWithoutRedis, "models" | "trainer">,
  database: PruneDatabase,
  only: string | null,
  before: string,
): Promise<PruneTarget[]> {
  const recorded = await database.listPrunableModels();
  const names = recorded.map(({ model }) => model);
  if (only !== null && !names.includes(only)) findModel(models, only);
  const targets = recorded.map(({ model, policy, trainer: recordedTrainer }) => {
    const own = models.get(model);
    const judged = own ?? { policy: Policy.safeParse(policy).data ?? GUIDE_POLICY, shadow: null };
    const name = own?.trainer.name ?? recordedTrainer ?? trainer.name;
    return { model, trainer: name, needs: pruneNeedsOf(judged), before };
  });
  // A budget of all models may be that of any of them, with decisions or without.
  const all: PruneNeeds[] = [...targets.map(({ needs }) => needs), ...[...models.values()].map(pruneNeedsOf)];
  const requestedByAll = Math.max(0, ...all.map((needs) => needs.requestedByAll));
  return targets
    .filter(({ model }) => only === null || model === only)
    .map((target) => ({ ...target, needs: { ...target.needs, requestedByAll } }));
}

type Counted = Pick<PruneResult, "models" | "audit">;

async function countAll(
  database: PruneDatabase,
  targets: readonly PruneTarget[],
  isAudited: boolean,
): Promise<Counted> {
  const models: PrunedModel[] = [];
  for (const target of targets) {
    const { decisions, keptFrom } = await database.countPrunableDecisions(target);
    const [events, checks] = [
      await database.countPrunable("events", target),
      await database.countPrunable("checks", target),
    ];
    models.push({ model: target.model, decisions, events, checks, keptFrom });
  }
  const [first] = targets;
  const audit = isAudited && first ? await database.countPrunable("audit", { before: first.before }) : 0;
  return { models, audit };
}

async function removeAll({
  database,
  targets,
  counted,
  save,
  hooks: { signal, onProgress },
  before,
  isAudited,
}: {
  database: PruneDatabase;
  targets: readonly PruneTarget[];
  counted: Counted;
  save: (lines: readonly string[]) => Promise<void>;
  hooks: PruneHooks;
  before: string;
  isAudited: boolean;
}): Promise<Counted> {
  const total = counted.models.reduce(
    (sum, { decisions, events, checks }) => sum + decisions + events + checks,
    counted.audit,
  );
  let done = 0;
  const removeEach = async (removeBatch: () => Promise<number>): Promise<number> => {
    let removed = 0;
    while (!signal.aborted) {
      const count = await removeBatch();
      if (count === 0) break;
      removed += count;
      done += count;
      onProgress(done, Math.max(done, total));
    }
    return removed;
  };
  const models: PrunedModel[] = [];
  for (const [index, target] of targets.entries())
    models.push({
      model: target.model,
      decisions: await removeEach(() => database.pruneDecisions(target, save)),
      events: await removeEach(() => database.prunePart("events", target, save)),
      checks: await removeEach(() => database.prunePart("checks", target, save)),
      keptFrom: counted.models[index]?.keptFrom ?? null,
    });
  const audit = isAudited ? await removeEach(() => database.prunePart("audit", { before }, save)) : 0;
  return { models, audit };
}
