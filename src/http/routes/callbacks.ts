import type { Queue } from "bullmq";
import express, { Router, type Request } from "express";
import { z } from "zod";
import { TRAINING } from "../../../queues/names.ts";
import { followTraining, wakeJob } from "../../../queues/training.ts";
import type { Config } from "../../config/config.ts";
import { advance, toDispatchLimits } from "../../core/dispatch/advance.ts";
import type { Logger } from "../../process/logger.ts";
import { isSigned, SIGNATURE_HEADER } from "../../outgoing/signature.ts";
import { parseJson } from "../../core/parse.ts";
import type { Database } from "../../postgres/database.ts";
import { clockOf } from "../../postgres/dispatches.ts";
import { Outcome, outcomePath, toStatus } from "../../trainers/webhook.ts";

export const CALLBACK_PATHS = ["/api/v1/github", "/api/v1/trainings"];

export interface CallbackDependencies {
  config: Pick<Config, "githubWebhookSecret" | "trainer" | "patience">;
  database: Pick<Database, "findTraining" | "updateDispatch" | "readDispatch">;
  queues: Queue[];
  log: Logger;
}

/** Signed callbacks about trainings. GitHub's only wake the job that polls; a receiver's outcome is recorded. */
export function createCallbacks(dependencies: CallbackDependencies): Router {
  const { config, database, queues, log } = dependencies;
  const queueOf = (name: string) => queues.find((queue) => queue.name === name);
  // The training may not be identified yet; then the act stage is still searching for it.
  const wake = async (runId: string): Promise<void> => {
    for (const name of ["act", TRAINING]) {
      const queue = queueOf(name);
      // The act stage needs to be woken only while it waits.
      if (queue && (name === TRAINING || (await queue.getJobState(runId)) === "delayed"))
        await wakeJob(queue, runId);
    }
  };
  const router = Router();
  // The signature covers the raw bytes.
  const readBody = express.text({ type: () => true, limit: "1mb" });

  /** GitHub's `workflow_run` events: a hint to poll, and nothing more, because they may be late, lost or out of order. */
  router.post("/api/v1/github/webhook", readBody, async (request, response) => {
    const body = await readSigned(request, config.githubWebhookSecret, "X-Hub-Signature-256");
    const event = request.get("X-GitHub-Event") ?? "no event";
    const runId = event === "workflow_run" ? await findRun(parseBody(WorkflowRunEvent, body)) : null;
    // GitHub gives up after ten seconds, so respond before the poll.
    response.status(202).json(runId === null ? { ignored: event } : { runId });
    if (runId === null) return;
    await wake(runId).catch((error: unknown) =>
      log.warn({ err: error, runId }, "could not wake the training's job; it polls later anyway"),
    );
  });

  /** The outcome of a training, as the receiver of the webhook trainer reports it. */
  router.post(outcomePath(":runId"), readBody, async (request, response) => {
    const secret = config.trainer.name === "webhook" ? config.trainer.webhook.secret : null;
    const body = await readSigned(request, secret, SIGNATURE_HEADER);
    const { decision_id: runId, ...outcome } = parseBody(SignedOutcome, body);
    // Only the body is signed: without this check, an outcome could be replayed to another training.
    if (runId !== request.params["runId"]) throw new Refusal(400, "decision_id is not that of the address");
    const dispatch = await database.readDispatch(runId);
    if (!dispatch) throw new Refusal(404, `There is no training ${runId}`);
    const { patch } = await database.updateDispatch(dispatch, (current) =>
      advance(
        current.dispatch,
        { kind: "reported", ...toStatus(outcome) },
        {
          now: clockOf(current),
          limits: toDispatchLimits(config.patience),
          trainer: { followsById: false, reportsOutcomes: true, runsHere: false },
        },
      ),
    );
    const isNews = Object.keys(patch).length > 0;
    await wake(runId);
    const training = queueOf(TRAINING);
    // Its job may be gone; then another one announces the end.
    if (training && (await training.getJobState(runId)) === "unknown")
      await followTraining(training, { runId, model: dispatch.model }, 0);
    response.json({ recorded: isNews });
  });
  return router;

  async function findRun({ workflow_run: run }: z.infer<typeof WorkflowRunEvent>): Promise<string | null> {
    const key = /^Retrain ([0-9a-f-]{36})$/.exec(run.display_title ?? "")?.[1] ?? null;
    return database.findTraining({ externalId: run.id, key });
  }
}

/** A rejected request, with the status and message of the response. */
class Refusal extends Error {
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

const WorkflowRunEvent = z.object({
  workflow_run: z.object({
    id: z.union([z.number(), z.string()]).transform(String),
    display_title: z.string().nullish(),
  }),
});

const SignedOutcome = Outcome.extend({ decision_id: z.uuid() });

/** Returns the body. @throws Refusal if it is not signed with the secret. */
async function readSigned(request: Request, secret: string | null, header: string): Promise<string> {
  if (secret === null) throw new Refusal(404, "Nobody is listening here: the settings name no secret for it");
  const body: unknown = request.body;
  if (typeof body === "string" && (await isSigned(secret, body, request.get(header)))) return body;
  throw new Refusal(401, `${header} is missing or wrong`);
}

function parseBody<S extends z.ZodType>(schema: S, body: string): z.infer<S> {
  const parsed = schema.safeParse(parseJson(body));
  if (parsed.success) return parsed.data;
  throw new Refusal(400, z.prettifyError(parsed.error));
}
