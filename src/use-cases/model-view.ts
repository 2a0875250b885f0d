import type { Queue } from "bullmq";
import { findNextFiring } from "../../queues/schedule.ts";
import { findModel } from "../config/find-model.ts";
import type { ModelConfig } from "../config/model-config.ts";
import { type Answer, answerModel } from "../core/answer.ts";
import { messageOf } from "../core/errors.ts";
import { evaluate, type Verdict } from "../core/evaluate.ts";
import { Evidence } from "../core/evidence.ts";
import { Policy } from "../core/policy.ts";
import { type Standing, standingOf } from "../core/standing.ts";
import type { Database } from "../postgres/database.ts";
import type { CheckRow } from "../postgres/pages/check-history.ts";
import type { ModelHistory, PolicyUse } from "../postgres/pages/model-history.ts";
import type { ModelFacts } from "../postgres/pages/standings.ts";
import type { TrainingRow } from "../postgres/pages/training-log.ts";
import { isSettledWithin } from "../process/lifecycle.ts";

/** What an answer is based on: the sources as they are now, or the latest decision while they cannot be read. */
export interface Basis {
  evidence: Evidence;
  policy: Policy;
  verdict: Verdict;
  /** The decision; null for the sources as they are. */
  decisionId: number | null;
}

/** What the page of a model shows. */
export interface ModelView {
  config: ModelConfig;
  standing: Standing;
  answer: Answer;
  facts: ModelFacts;
  /** null if neither the sources can be read nor a decision was made. */
  basis: Basis | null;
  /** Why the sources cannot be read now; null if they can. */
  problem: string | null;
  history: ModelHistory;
  /** The newest first. */
  checks: CheckRow[];
  checksProblem: string | null;
  policies: PolicyUse[];
  trainings: TrainingRow[];
  /** When the schedule makes its next request, Unix milliseconds; null without one, or while Redis is away. */
  nextFiringAt: number | null;
}

type Reader = Pick<
  Database,
  | "fetchEvidence"
  | "listModelFacts"
  | "listModelFigures"
  | "readDecision"
  | "readModelHistory"
  | "readCheckHistory"
  | "listPolicies"
  | "listTrainings"
>;

/** A page waits so long for the sources, and Postgres reads them no longer than that. */
const PAGE_LIMIT_MS = 1_500;
const READING_LIMIT_MS = 20_000;
/** So many of the newest checks are drawn. */
export const SHOWN_CHECKS = 3_000;

/**
 * Reads what the page of a model shows: the answer as of now, its past within so many seconds, and its plans.
 *
 * @throws PermanentError for a model that the settings do not name.
 */
export async function viewModel(
  { models, database, inbox }: { models: ReadonlyMap<string, ModelConfig>; database: Reader; inbox: Queue },
  model: string,
  { seconds, feature, now }: { seconds: number; feature: string | null; now: number },
): Promise<ModelView> {
  const config = findModel(models, model);
  const [facts, basis, history, checks, policies, trainings, nextFiringAt] = await Promise.all([
    database.listModelFacts(new Map([[model, config.expectDriftRunEveryMs !== null]])),
    findBasis(database, model, config),
    database.readModelHistory(model, seconds),
    readChecks(database, model, config, { seconds, feature }),
    database.listPolicies(model),
    database.listTrainings({ model, limit: 5 }),
    findFiring(inbox, model, config, now),
  ]);
  const own = facts[0] as ModelFacts;
  const { verdict } = basis.basis ?? { verdict: null };
  const standing = standNow(own, verdict);
  const [figures] = own.latest === null ? [] : await database.listModelFigures([model]);
  const latest = own.latest && {
    decision: own.latest.decision,
    why: figures?.why ?? "",
    codes: own.latest.codes,
  };
  const shown = verdict
    ? { decision: verdict.decision, why: verdict.explanation?.why ?? "", codes: verdict.failed }
    : latest;
  return {
    config,
    standing,
    answer: shown
      ? answerModel(standing, own, { verdict: shown, latest, training: trainings[0] ?? null, now })
      : { tone: "bad", label: "Sources unreadable", sentence: basis.problem ?? "", details: [] },
    facts: own,
    ...basis,
    history,
    ...checks,
    policies,
    trainings,
    nextFiringAt,
  };
}

/** Where a model stands, judged by its sources as they are now. */
function standNow(facts: ModelFacts, verdict: Verdict | null): Standing {
  const { latest } = facts;
  if (verdict === null) return standingOf({ ...facts, isReady: false });
  const isTrigger = latest?.decision.startsWith("trigger") === true;
  const judged = latest && {
    ...latest,
    ...(isTrigger ? {} : { codes: verdict.failed }),
    driftRunsMissing: verdict.explanation?.driftRuns?.state === "missing",
  };
  return standingOf({ ...facts, latest: judged, isReady: verdict.decision === "trigger" });
}

const readings = new WeakMap<ModelConfig, Promise<Evidence>>();

/** The evidence as of now; pages that are opened at the same time share one reading. */
function readEvidence(
  database: Pick<Database, "fetchEvidence">,
  model: string,
  config: ModelConfig,
): Promise<Evidence> {
  const known = readings.get(config);
  if (known) return known;
  const reading = database
    .fetchEvidence(model, config, READING_LIMIT_MS)
    .finally(() => readings.delete(config));
  readings.set(config, reading);
  return reading;
}

async function findBasis(
  database: Reader,
  model: string,
  config: ModelConfig,
): Promise<Pick<ModelView, "basis" | "problem">> {
  let problem: string;
  try {
    const reading = readEvidence(database, model, config);
    if (await isSettledWithin(reading, PAGE_LIMIT_MS)) {
      const evidence = await reading;
      const { policy } = config;
      return {
        basis: { evidence, policy, verdict: evaluate(evidence, policy), decisionId: null },
        problem: null,
      };
    }
    reading.catch(() => {});
    problem = "The sources take long to read. What follows is as of the latest decision.";
  } catch (error) {
    problem = messageOf(error);
  }
  const [latest] = await database.listModelFacts(new Map([[model, false]]));
  const decisionId = latest?.latest?.id ?? null;
  const found = decisionId === null ? null : await database.readDecision(decisionId);
  const evidence = Evidence.safeParse(found?.evidence);
  const policy = Policy.safeParse(found?.policy);
  if (!evidence.success || !policy.success) return { basis: null, problem };
  const verdict = evaluate(evidence.data, policy.data);
  return { basis: { evidence: evidence.data, policy: policy.data, verdict, decisionId }, problem };
}

/** The newest checks of the model's source. Without them the rest of the page is shown. */
export async function readChecks(
  database: Pick<Database, "readCheckHistory">,
  model: string,
  config: ModelConfig,
  { seconds, feature }: { seconds: number; feature: string | null },
): Promise<Pick<ModelView, "checks" | "checksProblem">> {
  try {
    const filter = { seconds, feature, limit: SHOWN_CHECKS };
    return { checks: await database.readCheckHistory(model, config, filter), checksProblem: null };
  } catch (error) {
    return { checks: [], checksProblem: messageOf(error) };
  }
}

async function findFiring(
  inbox: Queue,
  model: string,
  { schedule, spreadMs }: ModelConfig,
  now: number,
): Promise<number | null> {
  if (schedule === null) return null;
  const firing = findNextFiring(inbox, model, { schedule, spreadMs }, now).catch(() => null);
  return (await isSettledWithin(firing, PAGE_LIMIT_MS)) ? ((await firing)?.firesAt ?? null) : null;
}
