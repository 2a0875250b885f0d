import { z } from "zod";
import { IsoTime, ModelName, PlainText, toInstant } from "../../../queues/jobs.ts";
import { findModel } from "../../config/find-model.ts";
import { BROUGHT, OutcomeReport } from "../../core/outcome/outcome.ts";
import { tallyByCause } from "../../core/outcome/tally.ts";
import { importOutcomes } from "../../use-cases/import-outcomes.ts";
import { findTraining, reportOutcome, type TrainingName } from "../../use-cases/report-outcome.ts";
import { type AnyOperation, type ApiDependencies, type Call, operation, type Reply } from "./operation.ts";
import { ModelPath, OutcomeRow } from "./schemas.ts";

const Report = OutcomeReport.extend({
  /** The training: by the decision that requested it, or by its run. */
  decisionId: z.int("must be the number of a decision").min(1).max(999_999_999).optional(),
  runId: z.uuid("must be the UUID of a run").optional(),
  /** On whose behalf. */
  by: PlainText.optional(),
});
type Report = z.infer<typeof Report>;

const Reported = z.object({
  decisionId: z.int(),
  model: z.string(),
  metric: z.string(),
  recorded: z.boolean(),
  brought: z.enum(BROUGHT),
});

const Training = z.object({
  decisionId: z.int(),
  runId: z.string().nullable(),
  model: z.string(),
  trainer: z.string(),
  requestedAt: z.string(),
  reason: z.string().nullable(),
  features: z.array(z.string()),
  outcomes: z.array(OutcomeRow),
  judged: z.enum(BROUGHT),
});

const Cause = z.object({
  cause: z.string(),
  trainings: z.int(),
  improved: z.int(),
  nothing: z.int(),
  worse: z.int(),
  unknown: z.int(),
});

const REPORTED = {
  201: { description: "Recorded", schema: Reported },
  200: { description: "Already recorded", schema: Reported },
};

export const outcomeOperations: readonly AnyOperation[] = [
  operation({
    method: "POST",
    path: "/models/{model}/outcomes",
    role: "emit",
    summary: "Report what a training brought",
    description:
      "By one metric, or only whether the model was promoted. Without `decisionId` and `runId` it is about the model's latest training, once that has succeeded. A later report of the same metric replaces an earlier one. `direction` may be left out for well-known metrics such as rmse and auc.",
    params: ModelPath,
    body: Report,
    requires: ["postgres"],
    responses: REPORTED,
    handle: (call, dependencies) => report(call, dependencies, call.params.model),
  }),
  operation({
    method: "POST",
    path: "/outcomes",
    role: "emit",
    summary: "Report what a training brought, by its run or decision alone",
    description: "For a workflow, which knows the run that it trains for.",
    body: Report,
    requires: ["postgres"],
    responses: REPORTED,
    handle: (call, dependencies) => report(call, dependencies, undefined),
  }),
  operation({
    method: "GET",
    path: "/models/{model}/outcomes",
    role: "viewer",
    summary: "Say what a model's trainings brought, one by one and by what caused them",
    description: "The newest 500 trainings that succeeded or have an outcome.",
    params: ModelPath,
    query: z.strictObject({ since: IsoTime.optional() }),
    requires: ["postgres"],
    responses: {
      200: {
        description: "The trainings, newest first",
        schema: z.object({ model: z.string(), causes: z.array(Cause), trainings: z.array(Training) }),
      },
    },
    async handle({ params: { model }, query: { since } }, { live, database }) {
      const trainings = await database.listOutcomes(model, since ? toInstant(since).toISOString() : null);
      // A model that was renamed keeps its trainings; a name without any may be a typo.
      if (trainings.length === 0) findModel(live.models(), model);
      return { status: 200, body: { model, causes: tallyByCause(trainings), trainings } };
    },
  }),
  operation({
    method: "POST",
    path: "/outcomes/import",
    role: "operator",
    summary: "Read the views of outcomes now, instead of within the hour",
    body: z.strictObject({ model: ModelName.optional() }),
    requires: ["postgres"],
    responses: {
      200: {
        description: "What was read, and every faulty row",
        schema: z.object({
          views: z.array(
            z.object({ view: z.string(), rows: z.int(), saved: z.int(), faults: z.array(z.string()) }),
          ),
        }),
      },
    },
    async handle({ body: { model } }, { live, database }) {
      const models = live.models();
      if (model !== undefined) findModel(models, model);
      return { status: 200, body: { views: await importOutcomes(database, models, model ?? null) } };
    },
  }),
];

async function report(
  { body, caller }: Pick<Call<unknown, unknown, Report>, "body" | "caller">,
  { live, database }: ApiDependencies,
  model: string | undefined,
): Promise<Reply> {
  const { decisionId, runId, by, ...given } = body;
  const name: TrainingName = { model, decisionId, runId };
  const training = await findTraining(database, live.models(), name);
  const reported = await reportOutcome(database, training, given, {
    source: "api",
    by: by === undefined ? caller.name : `${by} (${caller.name})`,
  });
  return { status: reported.recorded ? 201 : 200, body: reported };
}
