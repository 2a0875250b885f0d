import { z } from "zod";
import { IsoTime, PlainText } from "../../../queues/jobs.ts";
import { ReportedGrowth } from "../../../queues/reports.ts";
import { findModel } from "../../config/find-model.ts";
import { DecisionSummary } from "../../core/report/decision-summary.ts";
import { parseInput } from "../../core/parse.ts";
import { snoozeModel, unsnoozeModel, withLiveModels } from "../../use-cases/interventions.ts";
import { dryRun } from "../../use-cases/dry-run.ts";
import { requestDecision } from "../../use-cases/request-decision.ts";
import { explainModel } from "../../use-cases/why.ts";
import { currentConfig } from "../current-config.ts";
import { RequestError } from "../request-error.ts";
import { type AnyOperation, type ApiDependencies, operation } from "./operation.ts";
import { addressOf, readRequest } from "./requests.ts";
import { ModelPath, Reason, SnoozeBody } from "./schemas.ts";

const Overview = z.object({
  model: z.string(),
  schedule: z.string().nullable(),
  trainer: z.string(),
  hasShadow: z.boolean(),
  snooze: z.object({ until: z.string(), reason: z.string(), by: z.string() }).nullable(),
  approval: z.object({ decisionId: z.int(), expiresAt: z.string() }).nullable(),
  missingRuns: z.looseObject({}).nullable(),
  lastSucceeded: z.looseObject({}).nullable(),
});

const ModelState = Overview.extend({
  decision: z.enum(["trigger", "no_action"]),
  reason: z.string(),
  failed: z.array(z.string()),
  /** In a few words. */
  why: z.string(),
  nextLookAt: z.string().nullable(),
  nearestFlips: z.array(z.looseObject({})),
  notCounted: z.array(z.looseObject({})),
  driftRuns: z.looseObject({}).nullable(),
  warnings: z.array(z.looseObject({})),
});

const Growth = z.strictObject({
  rows: z.int().min(0).max(1e12),
  mode: z.enum(["added", "absolute"]).default("added"),
  batch: PlainText.optional(),
  id: PlainText.optional(),
  at: IsoTime.optional(),
});

const DecisionBody = z
  .strictObject({
    dryRun: z.boolean().default(false),
    force: z.boolean().default(false),
    reason: Reason.optional(),
  })
  .refine(({ force, reason }) => force === (reason !== undefined), {
    path: ["reason"],
    error: "goes together with force: why the decision is forced",
  });

const Requested = z.object({ jobId: z.string(), model: z.string(), status: z.string() });

export const modelOperations: readonly AnyOperation[] = [
  operation({
    method: "GET",
    path: "/models",
    role: "viewer",
    summary: "List the models",
    requires: ["postgres"],
    responses: {
      200: { description: "Every model of the settings", schema: z.object({ models: z.array(Overview) }) },
    },
    async handle(_, { live, database }) {
      const models = live.models();
      const overviews = new Map((await database.readModelOverviews(models)).map((one) => [one.model, one]));
      return {
        status: 200,
        body: { models: [...models.keys()].map((model) => describe(model, models, overviews.get(model))) },
      };
    },
  }),
  operation({
    method: "GET",
    path: "/models/{model}",
    role: "viewer",
    summary: "Say whether a model would be retrained now, why, and what would turn that",
    params: ModelPath,
    requires: ["postgres"],
    responses: { 200: { description: "The model's state", schema: ModelState } },
    async handle({ params: { model } }, dependencies) {
      const { live, database } = dependencies;
      const models = live.models();
      const own = new Map([[model, findModel(models, model)]]);
      const [overviews, why] = await Promise.all([
        database.readModelOverviews(own),
        explainModel(currentConfig(dependencies), database, model),
      ]);
      return { status: 200, body: { ...describe(model, models, overviews[0]), ...why } };
    },
  }),
  operation({
    method: "POST",
    path: "/models/{model}/buffer",
    role: "emit",
    summary: "Report rows that have arrived",
    description:
      "`added`: so many more. `absolute`: so many in the batch altogether, of which what was reported before is subtracted. The same id twice counts once.",
    params: ModelPath,
    body: Growth,
    requires: ["postgres"],
    responses: {
      201: { description: "Saved", schema: z.object({ added: z.number() }) },
      200: { description: "Already recorded", schema: z.object({ added: z.number() }) },
    },
    async handle({ params: { model }, body }, { live, database }) {
      findModel(live.models(), model);
      const { mode, rows, batch, id, at } = body;
      if (mode === "absolute") {
        if (batch === undefined || id !== undefined)
          throw new RequestError(400, "mode absolute needs batch, and takes no id", "BAD_INPUT");
        parseInput(ReportedGrowth.pick({ at: true }), { at }, "report");
        const added = await database.saveBatchSize(model, { rows, batch, at });
        if (added === null)
          throw new RequestError(
            409,
            `batch: more than ${rows} rows of ${batch} were reported before`,
            "REFUSED",
          );
        return { status: added > 0 ? 201 : 200, body: { added } };
      }
      const growth = parseInput(ReportedGrowth, { rows, batch, id, at }, "report");
      const isNew = await database.saveGrowth(model, growth);
      return { status: isNew ? 201 : 200, body: { added: isNew ? rows : 0 } };
    },
  }),
  operation({
    method: "POST",
    path: "/models/{model}/decisions",
    role: "operator",
    summary: "Request a decision",
    description:
      "Returns at once, or with `Prefer: wait=30` once it is made, after so many seconds at most. `dryRun` records and sends nothing. `force` passes the guards, never the criteria.",
    params: ModelPath,
    headers: { Prefer: "`wait=30` waits for the decision, so many seconds at most" },
    body: DecisionBody,
    requires: ["postgres", "redis writes"],
    responses: {
      200: { description: "Decided", schema: DecisionSummary },
      202: { description: "Requested", schema: Requested },
    },
    async handle({ params: { model }, body: { dryRun: isDry, reason }, caller, request }, dependencies) {
      const { live, database, client } = dependencies;
      findModel(live.models(), model);
      const forced = reason === undefined ? null : { by: caller.name, reason };
      if (isDry) {
        const config = currentConfig(dependencies);
        return { status: 200, body: await dryRun({ config, database, model, forced }) };
      }
      const jobId = await requestDecision({ database, client }, model, forced);
      const seconds = readWait(request.get("prefer"));
      const status = addressOf(jobId);
      if (seconds > 0) {
        // The request is made, whatever becomes of the wait.
        const state = await readRequest(dependencies, jobId, seconds * 1000).catch(() => null);
        if (state?.decision)
          return { status: 200, body: state.decision, headers: { "Preference-Applied": `wait=${seconds}` } };
      }
      return { status: 202, body: { jobId, model, status }, headers: { Location: status } };
    },
  }),
  operation({
    method: "POST",
    path: "/models/{model}/snooze",
    role: "operator",
    summary: "Let no training of a model start for a while",
    params: ModelPath,
    body: SnoozeBody,
    requires: ["postgres", "redis writes"],
    responses: {
      200: { description: "Snoozed", schema: z.object({ model: z.string(), until: z.string() }) },
    },
    async handle({ params: { model }, body, caller }, dependencies) {
      const given = { duration: body.for, by: caller.name, reason: body.reason };
      const { until } = await snoozeModel(withLiveModels(dependencies), model, given);
      return { status: 200, body: { model, until } };
    },
  }),
  operation({
    method: "DELETE",
    path: "/models/{model}/snooze",
    role: "operator",
    summary: "End the snooze of a model",
    params: ModelPath,
    requires: ["postgres", "redis writes"],
    responses: {
      200: { description: "Ended", schema: z.object({ model: z.string(), isReevaluated: z.boolean() }) },
    },
    async handle({ params: { model }, caller }, dependencies) {
      const isReevaluated = await unsnoozeModel(withLiveModels(dependencies), model, caller.name);
      return { status: 200, body: { model, isReevaluated } };
    },
  }),
];

function describe(
  model: string,
  models: ReturnType<ApiDependencies["live"]["models"]>,
  overview: Awaited<ReturnType<ApiDependencies["database"]["readModelOverviews"]>>[number] | undefined,
): z.infer<typeof Overview> {
  const { schedule, trainer, shadow } = findModel(models, model);
  const hasShadow = shadow !== null;
  const { snooze = null, approval = null, missingRuns = null, lastSucceeded = null } = overview ?? {};
  return { model, schedule, trainer: trainer.name, hasShadow, snooze, approval, missingRuns, lastSucceeded };
}

const MAX_WAIT_SECONDS = 60;

/** The seconds of `Prefer: wait=30` (RFC 7240); 0 without one. */
function readWait(prefer = ""): number {
  const [, seconds] = /(?:^|[,;\s])wait\s*=\s*"?(\d{1,6})"?(?:$|[,;\s])/i.exec(prefer) ?? [];
  return Math.min(MAX_WAIT_SECONDS, Number(seconds ?? 0));
}
