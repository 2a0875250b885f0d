import { z } from "zod";
import type { ModelConfig } from "../config/model-config.ts";
import { messageOf, PermanentError } from "../core/errors.ts";
import { OutcomeReport, toOutcome } from "../core/outcome/outcome.ts";
import {
  findNamedTraining,
  listVersionReports,
  readRegistryEvent,
  type RegistryEvent,
  type VersionNews,
} from "../core/outcome/registry-event.ts";
import { parseInput } from "../core/parse.ts";
import type { Database } from "../postgres/database.ts";
import type { ModelVersion } from "../postgres/model-versions.ts";
import type { OutcomeToSave } from "../postgres/outcomes.ts";
import { findTraining } from "./report-outcome.ts";

/** What became of an event of MLflow's registry. */
export type RegistryReply =
  | { ignored: string }
  | {
      model: string;
      decisionId: number;
      /** Whether no tag names the training: it is the only one that can have made the version. */
      assumed: boolean;
      /** How many outcomes say something new. */
      recorded: number;
      /** Tags that report nothing, and why. */
      faults: string[];
    };

type RegistryDatabase = Pick<
  Database,
  | "noteVersion"
  | "listVersionCandidates"
  | "assignVersion"
  | "findReportable"
  | "findNewestTraining"
  | "saveOutcomes"
>;

/**
 * Takes an event of MLflow's registry. The training is the one that a tag of the version names. Without a tag, it is assumed when
 * the version is created, if exactly one training can have made it. Everything else is ignored, with the reason.
 *
 * @throws PermanentError if the event lacks a field.
 */
export async function takeRegistryEvent(
  database: RegistryDatabase,
  models: ReadonlyMap<string, ModelConfig>,
  event: RegistryEvent,
): Promise<RegistryReply> {
  const news = readRegistryEvent(event);
  if (news === null) return { ignored: `${event.entity}.${event.action} says nothing about an outcome` };
  const model = findRegistered(models, news.registeredModel);
  if (typeof model !== "string") return model;
  const version = await database.noteVersion(news);
  const found = await findMaker(database, models, { model, news, version });
  if ("ignored" in found) return found;
  const by = signVersion(version);
  const isNew = found.decisionId !== version.decisionId || found.isAssumed !== version.isAssumed;
  if (isNew && !(await database.assignVersion(version, { ...found, by })))
    return { ignored: `Another event has just named the training of ${by}` };
  const faults: string[] = [];
  const { decisionId, isAssumed } = found;
  const outcomes = listOutcomes(version, faults).map((outcome): OutcomeToSave => ({
    ...outcome,
    model,
    decisionId,
    source: "mlflow",
    by,
  }));
  const { saved, refused } = await database.saveOutcomes(outcomes, version);
  return { model, decisionId, assumed: isAssumed, recorded: saved, faults: [...faults, ...refused] };
}

const signVersion = ({ registeredModel, version }: ModelVersion): string =>
  `${registeredModel} version ${version}`.slice(0, 500);

/** The model that a registered model belongs to: the one whose settings name it, else the one of the same name. */
function findRegistered(
  models: ReadonlyMap<string, Pick<ModelConfig, "outcomes">>,
  registered: string,
): string | { ignored: string } {
  const named = [...models]
    .filter(([, { outcomes }]) => outcomes.mlflow === registered)
    .map(([name]) => name);
  if (named.length > 1)
    return {
      ignored: `${registered} belongs to ${named.slice(0, 5).join(", ")}: name it once in outcomes.mlflow`,
    };
  const [only] = named;
  if (only !== undefined) return only;
  const own = models.get(registered);
  if (own && own.outcomes.mlflow === null) return registered;
  return {
    ignored: `No model is registered as ${registered}: set outcomes: { mlflow: ${registered} } for one`,
  };
}

type Maker = { decisionId: number; isAssumed: boolean } | { ignored: string };

async function findMaker(
  database: RegistryDatabase,
  models: ReadonlyMap<string, ModelConfig>,
  { model, news, version }: { model: string; news: VersionNews; version: ModelVersion },
): Promise<Maker> {
  const named = findNamedTraining(version.tags);
  const what = `Version ${version.version} of ${version.registeredModel}`;
  if (named !== null) {
    try {
      const ids =
        "run" in named
          ? parseInput(z.object({ runId: z.uuid("must be the UUID of a run") }), { runId: named.run }, "tag")
          : parseInput(DecisionTag, { decisionId: named.decision }, "tag");
      const { decisionId } = await findTraining(database, models, { model, ...ids });
      return { decisionId, isAssumed: false };
    } catch (error) {
      if (error instanceof PermanentError) return { ignored: `${what}: ${messageOf(error)}` };
      throw error;
    }
  }
  const { decisionId, isAssumed } = version;
  if (decisionId !== null) return { decisionId, isAssumed };
  const remedy = "Set its tag retrigger.run_id to the run that the trainer got";
  // An older version may be tagged or promoted at any time, so only a new one can be told by the trainings of its time.
  if (!news.isCreated) return { ignored: `${what} names no training. ${remedy}` };
  const candidates = await database.listVersionCandidates(model);
  const [sole] = candidates;
  if (sole !== undefined && candidates.length === 1) return { decisionId: sole, isAssumed: true };
  const why =
    sole === undefined
      ? "no training under way or of the last day can have made it"
      : `several trainings can have made it (decisions ${candidates.join(", ")})`;
  return { ignored: `${what} names no training, and ${why}. ${remedy}` };
}

const DecisionTag = z.object({
  decisionId: z
    .string()
    .regex(/^#?[1-9]\d{0,8}$/, "must be the number of a decision")
    .transform((text) => Number(text.replace("#", ""))),
});

function listOutcomes(version: ModelVersion, faults: string[]) {
  return listVersionReports(version).flatMap((report) => {
    try {
      return [toOutcome(parseInput(OutcomeReport, report, "tag"))];
    } catch (error) {
      if (!(error instanceof PermanentError)) throw error;
      faults.push(`${String(report["metric"])}: ${messageOf(error)}`);
      return [];
    }
  });
}
