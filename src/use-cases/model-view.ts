import type { Queue } from "bullmq";
import { findNextFiring } from "../../queues/schedule.ts";
import { findModel } from "../config/find-model.ts";
import type { ModelConfig } from "../config/model-config.ts";
import { type Answer, answerModel } from "../core/answer.ts";
import { messageOf } from "../core/errors.ts";
import { evaluate, type Verdict } from "../core/evaluate.ts";
import type { Evidence } from "../core/evidence.ts";
import type { JudgedTraining } from "../core/outcome/tally.ts";
import { formatDuration } from "../core/duration.ts";
import type { Policy } from "../core/policy.ts";
import type { ShadowReport } from "../core/shadow-report.ts";
import { type Standing, standingOf } from "../core/standing.ts";
import type { Database } from "../postgres/database.ts";
import type { CheckRow } from "../postgres/pages/check-history.ts";
import type { ModelHistory, PolicyUse } from "../postgres/pages/model-history.ts";
import type { ModelFacts } from "../postgres/pages/standings.ts";
import type { TrainingRow } from "../postgres/pages/training-log.ts";
import { isSettledWithin } from "../process/lifecycle.ts";
import type { Redact } from "../process/redact.ts";
import type { PageReader } from "./page-reader.ts";
import { parseRecorded } from "./recorded-basis.ts";
import { reportShadow } from "./shadow-report.ts";

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
  /** Those that succeeded, and those with an outcome, with what they brought; the newest first. */
  judged: JudgedTraining[];
  shadow: ShadowReport;
  /** When the schedule makes its next request, Unix milliseconds; null without one, or while Redis is away. */
  nextFiringAt: number | null;
}

export interface ViewDependencies {
  models: ReadonlyMap<string, ModelConfig>;
  database: Reader;
  reader: PageReader;
  inbox: Queue;
  redact: Redact;
}

type Reader = Pick<
  Database,
  | "listModelFacts"
  | "listModelFigures"
  | "readDecision"
  | "readModelHistory"
  | "listPolicies"
  | "listShadowUses"
  | "listDisagreements"
  | "countWithoutShadow"
  | "listTrainings"
  | "listOutcomes"
>;

/** A page waits so long for Redis. */
export const REDIS_LIMIT_MS = 1_000;
/** So many of the newest checks are drawn. */
export const SHOWN_CHECKS = 3_000;
/** So many disagreements of a shadow policy are listed. */
const SHOWN_DIFFERENCES = 5;

/**
 * Reads what the page of a model shows: the answer as of now, its past within so many seconds, and its plans.
 *
 * @throws PermanentError for a model that the settings do not name.
 */
export async function viewModel(
  dependencies: ViewDependencies,
  model: string,
  { seconds, feature, now }: { seconds: number; feature: string | null; now: number },
): Promise<ModelView> {
  const { models, database, inbox } = dependencies;
  const config = findModel(models, model);
  const [facts, figures, reading, history, checks, policies, trainings, judged, shadow, nextFiringAt] =
    await Promise.all([
      database.listModelFacts(new Map([[model, config.expectDriftRunEveryMs !== null]])),
      database.listModelFigures([model]),
      readNow(dependencies, model, config),
      database.readModelHistory(model, seconds),
      readChecks(dependencies, model, config, { seconds, feature }),
      database.listPolicies(model),
      database.listTrainings({ model, limit: 5 }),
      database.listOutcomes(model),
      reportShadow(models, database, {
        model,
        since: formatDuration(seconds * 1000),
        limit: SHOWN_DIFFERENCES,
      }),
      findFiring(inbox, model, config, now),
    ]);
  const own = facts[0] as ModelFacts;
  const { basis, problem } = await findBasis(dependencies, own, config, reading);
  const verdict = basis?.decisionId === null ? basis.verdict : null;
  const standing = standNow(own, verdict);
  const latest = own.latest && { ...own.latest, why: figures[0]?.why ?? "" };
  const training =
    trainings.find(({ decisionId }) => decisionId === own.training?.decisionId) ?? own.training;
  const answered = {
    decision: verdict?.decision ?? "",
    why: verdict?.explanation?.why ?? "",
    codes: verdict?.failed ?? [],
  };
  return {
    config,
    standing,
    answer:
      verdict === null && latest === null && problem !== null
        ? { tone: "bad", label: "Sources unreadable", sentence: problem, details: [] }
        : answerModel(standing, own, {
            verdict: verdict && answered,
            latest,
            training,
            driftRuns: verdict?.explanation?.driftRuns ?? null,
            now,
          }),
    facts: own,
    basis,
    problem,
    history,
    ...checks,
    policies,
    trainings,
    judged,
    shadow,
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

/** The evidence as of now, or why there is none. */
async function readNow(
  { reader, redact }: Pick<ViewDependencies, "reader" | "redact">,
  model: string,
  config: ModelConfig,
): Promise<Evidence | { problem: string }> {
  try {
    return await reader.readEvidence(model, config);
  } catch (error) {
    return { problem: redact(messageOf(error)).replace(/[.]?$/, ".") };
  }
}

async function findBasis(
  dependencies: Pick<ViewDependencies, "database" | "reader" | "redact">,
  { model, latest }: ModelFacts,
  config: ModelConfig,
  reading: Evidence | { problem: string },
): Promise<Pick<ModelView, "basis" | "problem">> {
  const { policy } = config;
  let found = reading;
  // A reading that was shared with another page may have begun before the latest decision.
  if (!("problem" in found) && (found.lastDecisions[0]?.id ?? 0) < (latest?.id ?? 0))
    found = await readNow(dependencies, model, config);
  if (!("problem" in found))
    return {
      basis: { evidence: found, policy, verdict: evaluate(found, policy), decisionId: null },
      problem: null,
    };
  const basis = await readRecordedBasis(dependencies.database, latest?.id ?? null);
  const more = basis === null ? "" : " What follows is as of the latest decision.";
  return { basis, problem: found.problem + more };
}

/** What a decision was judged by; null if there is none that can be read. */
async function readRecordedBasis(
  database: Pick<Database, "readDecision">,
  decisionId: number | null,
): Promise<Basis | null> {
  const found = decisionId === null ? null : await database.readDecision(decisionId);
  const recorded = found && parseRecorded(found);
  return recorded && { ...recorded, verdict: evaluate(recorded.evidence, recorded.policy), decisionId };
}

/** The newest checks of the model's source. Without them the rest of the page is shown. */
async function readChecks(
  { reader, redact }: Pick<ViewDependencies, "reader" | "redact">,
  model: string,
  config: ModelConfig,
  { seconds, feature }: { seconds: number; feature: string | null },
): Promise<Pick<ModelView, "checks" | "checksProblem">> {
  try {
    const checks = await reader.readChecks(model, config, { seconds, feature, limit: SHOWN_CHECKS });
    return { checks, checksProblem: null };
  } catch (error) {
    return { checks: [], checksProblem: redact(messageOf(error)) };
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
  return (await isSettledWithin(firing, REDIS_LIMIT_MS)) ? ((await firing)?.firesAt ?? null) : null;
}
